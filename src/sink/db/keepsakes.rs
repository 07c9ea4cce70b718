//! Keepsakes: what operators set on a relation and a drop would lose: grants, comments, options,
//! owner, triggers and rules. They are read before the drop, as the statements that restore them.
//!
//! PostgreSQL loses all of these with the relation. MySQL keeps grants by name, and SQLite has only
//! triggers and indexes.

use crate::error::SyncError;
use crate::sink::db::Db;
use crate::sink::db::dialect::Dialect;
use sea_orm::{ConnectionTrait, Statement};

/// The statements that restore on a new relation what the old one had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keepsakes(Vec<String>);

impl Keepsakes {
    /// In the order to run them.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Db {
    /// Reads what must be restored once the relation of this name is made again.
    pub(crate) async fn keepsakes(
        &self,
        connection: &impl ConnectionTrait,
        relation: &str,
    ) -> Result<Keepsakes, SyncError> {
        let query = match self.dialect {
            Dialect::Sqlite => SQLITE_KEEPSAKES,
            Dialect::Mysql => return Ok(Keepsakes::default()),
            Dialect::Postgres => POSTGRES_KEEPSAKES,
        };
        Ok(Keepsakes(self.statements(connection, query, relation).await?))
    }

    /// The options of a view. PostgreSQL loses them even on `CREATE OR REPLACE VIEW`.
    pub(crate) async fn options(
        &self,
        connection: &impl ConnectionTrait,
        relation: &str,
    ) -> Result<Keepsakes, SyncError> {
        match self.dialect {
            Dialect::Postgres => {
                Ok(Keepsakes(self.statements(connection, POSTGRES_OPTIONS, relation).await?))
            }
            Dialect::Sqlite | Dialect::Mysql => Ok(Keepsakes::default()),
        }
    }

    /// Restores on the new relation what the old one had.
    pub(crate) async fn give_back(
        &self,
        connection: &impl ConnectionTrait,
        relation: &str,
        keepsakes: &Keepsakes,
    ) -> Result<(), SyncError> {
        if self.dialect == Dialect::Postgres {
            // Revoke default privileges first: they may grant rights that the old relation did not.
            for revoke in self.statements(connection, POSTGRES_REVOKES, relation).await? {
                connection.execute_unprepared(&revoke).await?;
            }
        }
        for statement in keepsakes.statements() {
            let give = async {
                connection.execute_unprepared(statement).await?;
                Ok(())
            };
            match self.attempt(connection, give).await? {
                // This statement is about a column that no longer exists.
                Err(error) if error.is_about_missing_column() => {
                    tracing::warn!(
                        relation,
                        statement,
                        "it has no such column any more, so this is left out"
                    );
                }
                given => given?,
            }
        }
        Ok(())
    }

    /// Runs a query that returns statements about a relation.
    async fn statements(
        &self,
        connection: &impl ConnectionTrait,
        query: &str,
        relation: &str,
    ) -> Result<Vec<String>, SyncError> {
        let query =
            Statement::from_sql_and_values(self.dialect.backend(), query, [relation.into()]);
        let rows = connection.query_all_raw(query).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }
}

const SQLITE_KEEPSAKES: &str = "SELECT sql FROM sqlite_master \
     WHERE type IN ('index', 'trigger') AND sql IS NOT NULL AND tbl_name = ? ORDER BY type, rowid";

const POSTGRES_OPTIONS: &str = "
SELECT format('ALTER VIEW %I.%I SET (%s)', current_schema(), c.relname, array_to_string(c.reloptions, ', '))
FROM   pg_class c
WHERE  c.relnamespace = current_schema()::regnamespace AND c.relname = $1 AND c.relkind = 'v' AND c.reloptions IS NOT NULL";

const POSTGRES_REVOKES: &str = "
SELECT DISTINCT format('REVOKE ALL ON TABLE %I.%I FROM %s', current_schema(), c.relname,
                       CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(p.grantee)) END)
FROM   pg_class c, aclexplode(c.relacl) p
WHERE  c.relnamespace = current_schema()::regnamespace AND c.relname = $1 AND p.grantee <> c.relowner";

/// The owner comes last, because grants are made by the creator of the relation.
const POSTGRES_KEEPSAKES: &str = r"
WITH c AS (
    SELECT c.*, format('%I.%I', current_schema(), c.relname) AS place,
           CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS word
    FROM   pg_class c
    WHERE  c.relnamespace = current_schema()::regnamespace AND c.relname = $1
), kept(step, statement) AS (
    SELECT 1, format('ALTER %s %s SET (%s)', c.word, c.place, array_to_string(c.reloptions, ', '))
    FROM   c WHERE c.reloptions IS NOT NULL
    UNION ALL
    SELECT 2, format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', c.place, a.attname, pg_get_expr(d.adbin, d.adrelid))
    FROM   c JOIN pg_attrdef d ON d.adrelid = c.oid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum
    WHERE  c.relkind = 'v'
    UNION ALL
    SELECT 3, format('GRANT %s ON TABLE %s TO %s%s', p.privilege_type, c.place,
                     CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(p.grantee)) END,
                     CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM   c, aclexplode(c.relacl) p WHERE p.grantee <> c.relowner
    UNION ALL
    SELECT 3, format('GRANT %s (%I) ON TABLE %s TO %s%s', p.privilege_type, a.attname, c.place,
                     CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(p.grantee)) END,
                     CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM   c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped, aclexplode(a.attacl) p
    UNION ALL
    SELECT 4, CASE WHEN d.objsubid = 0 THEN format('COMMENT ON %s %s IS %L', c.word, c.place, d.description)
                   ELSE format('COMMENT ON COLUMN %s.%I IS %L', c.place, a.attname, d.description) END
    FROM   c
    JOIN   pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
    LEFT   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
    UNION ALL
    SELECT 5, pg_get_indexdef(i.indexrelid)
    FROM   c JOIN pg_index i ON i.indrelid = c.oid
    WHERE  NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid)
    UNION ALL
    SELECT 6, pg_get_triggerdef(t.oid) FROM c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 6, pg_get_ruledef(r.oid) FROM c JOIN pg_rewrite r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT 7, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', c.place) FROM c WHERE c.relrowsecurity
    UNION ALL
    SELECT 7, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', c.place) FROM c WHERE c.relforcerowsecurity
    UNION ALL
    SELECT 7, format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, c.place,
                     CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                     CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                   WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                     (SELECT string_agg(CASE o.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o.role)) END, ', ')
                      FROM unnest(p.polroles) AS o(role)),
                     ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                     ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    FROM   c JOIN pg_policy p ON p.polrelid = c.oid
    UNION ALL
    SELECT 8, format('ALTER TABLE %s OWNER TO %I', c.place, pg_get_userbyid(c.relowner))
    FROM   c WHERE pg_get_userbyid(c.relowner) <> current_user
)
SELECT statement FROM kept ORDER BY step";
