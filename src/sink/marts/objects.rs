//! Objects: finds what others have built on a table, column or view, if the database would refuse a
//! change because of it, or lose it silently.

use crate::error::SyncError;
use crate::sink::db::dialect::Dialect;
use crate::sink::ledger::obstacles::Dependent;
use crate::sink::marts::Marts;
use sea_orm::{ConnectionTrait, Statement};

impl Marts {
    /// Objects of others on a column, or with `None` on a relation. Dependents come first, so that
    /// their statements can be run in this order.
    pub(crate) async fn objects_on(
        &self,
        connection: &impl ConnectionTrait,
        relation: &str,
        column: Option<&str>,
    ) -> Result<Vec<Dependent>, SyncError> {
        let mut others = self.dependents(connection, relation, column).await?;
        others.retain(|dependent| dependent.own_view.is_none());
        if others.iter().any(|other| other.is_firm) {
            others.retain(|other| other.is_firm);
        }
        Ok(others)
    }

    /// tidegate's own views that read a column, or with `None` a relation, directly or through each
    /// other, in the order in which they can be dropped.
    pub(crate) async fn own_views_on(
        &self,
        connection: &impl ConnectionTrait,
        relation: &str,
        column: Option<&str>,
    ) -> Result<Vec<String>, SyncError> {
        let dependents = self.dependents(connection, relation, column).await?;
        Ok(dependents.into_iter().filter_map(|dependent| dependent.own_view).collect())
    }

    async fn dependents(
        &self,
        connection: &impl ConnectionTrait,
        relation: &str,
        column: Option<&str>,
    ) -> Result<Vec<Dependent>, SyncError> {
        let column = column.map(str::to_owned);
        let (query, binds) = match self.db.dialect {
            // Views are only text on SQLite, and objects on a table are set aside during a change
            // (`widen`).
            Dialect::Sqlite => return Ok(Vec::new()),
            Dialect::Mysql if column.is_none() => return Ok(Vec::new()),
            Dialect::Mysql => {
                let of_column = [relation.into(), column.into()];
                (
                    MYSQL_DEPENDENTS,
                    [of_column.clone(), of_column.clone(), of_column.clone(), of_column].concat(),
                )
            }
            Dialect::Postgres => (POSTGRES_DEPENDENTS, vec![relation.into(), column.into()]),
        };
        let query = Statement::from_sql_and_values(self.db.dialect.backend(), query, binds);
        let mut dependents = Vec::new();
        for row in connection.query_all_raw(query).await? {
            let own: Option<String> = row.try_get_by_index(2)?;
            let is_own =
                |name: &String| self.definitions.views.iter().any(|view| view.name == *name);
            dependents.push(Dependent {
                object: row.try_get_by_index(0)?,
                run: row.try_get_by_index(1)?,
                own_view: own.filter(is_own),
                is_firm: row.try_get_by_index::<i64>(3)? == 1,
            });
        }
        Ok(dependents)
    }
}

/// Columns: object, statement, name if it is a relation of the schema, firm or not; dependents
/// first. A view is found through its rules. Most constraints and indexes of a table follow a
/// change of type, so they are not firm.
const POSTGRES_DEPENDENTS: &str = r"
WITH RECURSIVE found(classid, objid, relid, depth) AS (
    SELECT d.classid, d.objid, r.ev_class, 1
    FROM   pg_class t
    LEFT   JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = CAST($2 AS text)
    JOIN   pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
                      AND CASE WHEN CAST($2 AS text) IS NULL THEN d.deptype = 'n'
                               ELSE d.refobjsubid = a.attnum AND d.deptype IN ('n', 'a') END
    LEFT   JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE  t.relnamespace = current_schema()::regnamespace AND t.relname = CAST($1 AS text)
    UNION
    SELECT d.classid, d.objid, r.ev_class, f.depth + 1
    FROM   found f
    JOIN   pg_class v ON v.oid = f.relid AND v.relkind IN ('v', 'm')
    JOIN   pg_depend d ON d.deptype = 'n'
                      AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid
                           OR d.refclassid = 'pg_type'::regclass AND d.refobjid = v.reltype)
    LEFT   JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE  r.ev_class IS DISTINCT FROM v.oid AND f.depth < 32
)
SELECT CASE v.relkind WHEN 'v' THEN format('view %I.%I', s.nspname, v.relname)
                      WHEN 'm' THEN format('materialized view %I.%I', s.nspname, v.relname)
                      ELSE CASE WHEN g.attname IS NOT NULL THEN format('generated column %I of %s', g.attname, g.attrelid::regclass)
                                ELSE pg_describe_object(f.classid, f.objid, 0) END END,
       CASE WHEN v.relkind = 'v'         THEN format('DROP VIEW %I.%I', s.nspname, v.relname)
            WHEN v.relkind = 'm'         THEN format('DROP MATERIALIZED VIEW %I.%I', s.nspname, v.relname)
            WHEN f.relid IS NOT NULL     THEN format('DROP RULE %I ON %I.%I', w.rulename, s.nspname, v.relname)
            WHEN g.attname IS NOT NULL   THEN format('ALTER TABLE %s DROP COLUMN %I', g.attrelid::regclass, g.attname)
            WHEN tg.tgname IS NOT NULL   THEN format('DROP TRIGGER %I ON %s', tg.tgname, tg.tgrelid::regclass)
            WHEN po.polname IS NOT NULL  THEN format('DROP POLICY %I ON %s', po.polname, po.polrelid::regclass)
            WHEN co.conname IS NOT NULL  THEN format('ALTER TABLE %s DROP CONSTRAINT %I', co.conrelid::regclass, co.conname)
            WHEN ix.relkind = 'i'        THEN format('DROP INDEX %s', ix.oid::regclass)
            WHEN pr.oid IS NOT NULL      THEN format('DROP ROUTINE %s', pr.oid::regprocedure)
            ELSE '' END,
       CASE WHEN v.relkind = 'v' AND v.relnamespace = current_schema()::regnamespace THEN v.relname::text END,
       CASE WHEN co.oid IS NULL AND ix.oid IS NULL THEN 1 ELSE 0 END::bigint
FROM  (SELECT classid, objid, relid, max(depth) AS depth FROM found GROUP BY classid, objid, relid) f
LEFT   JOIN pg_class      v  ON v.oid  = f.relid
LEFT   JOIN pg_namespace  s  ON s.oid  = v.relnamespace
LEFT   JOIN pg_rewrite    w  ON w.oid  = f.objid AND f.classid = 'pg_rewrite'::regclass
LEFT   JOIN pg_attrdef    ad ON ad.oid = f.objid AND f.classid = 'pg_attrdef'::regclass
LEFT   JOIN pg_attribute  g  ON g.attrelid = ad.adrelid AND g.attnum = ad.adnum AND g.attgenerated <> ''
LEFT   JOIN pg_trigger    tg ON tg.oid = f.objid AND f.classid = 'pg_trigger'::regclass AND NOT tg.tgisinternal
LEFT   JOIN pg_policy     po ON po.oid = f.objid AND f.classid = 'pg_policy'::regclass
LEFT   JOIN pg_constraint co ON co.oid = f.objid AND f.classid = 'pg_constraint'::regclass
LEFT   JOIN pg_class      ix ON ix.oid = f.objid AND f.classid = 'pg_class'::regclass
LEFT   JOIN pg_proc       pr ON pr.oid = f.objid AND f.classid = 'pg_proc'::regclass
WHERE  (ad.oid IS NULL OR g.attname IS NOT NULL) AND COALESCE(co.contype, '-') <> 'p' AND COALESCE(ix.relkind, 'i') = 'i'
ORDER  BY f.depth DESC, 1";

/// On MySQL views and triggers refer to names, so they prevent no change; these objects would be
/// lost with the column, or break.
const MYSQL_DEPENDENTS: &str = "
SELECT CAST(CONCAT('index ', s.index_name, ' on ', s.table_name) AS CHAR),
       CAST(CONCAT('ALTER TABLE `', s.table_name, '` DROP INDEX `', s.index_name, '`') AS CHAR), CAST(NULL AS CHAR), 1
FROM   information_schema.statistics s
WHERE  s.table_schema = DATABASE() AND s.table_name = ? AND s.column_name = ? AND s.index_name <> 'PRIMARY'
UNION
SELECT CAST(CONCAT('generated column ', c.column_name, ' of ', c.table_name) AS CHAR),
       CAST(CONCAT('ALTER TABLE `', c.table_name, '` DROP COLUMN `', c.column_name, '`') AS CHAR), CAST(NULL AS CHAR), 1
FROM   information_schema.columns c
WHERE  c.table_schema = DATABASE() AND c.table_name = ? AND c.generation_expression LIKE CONCAT('%`', ?, '`%')
UNION
SELECT CAST(CONCAT('constraint ', t.constraint_name, ' of ', t.table_name) AS CHAR),
       CAST(CONCAT('ALTER TABLE `', t.table_name, '` DROP CONSTRAINT `', t.constraint_name, '`') AS CHAR), CAST(NULL AS CHAR), 1
FROM   information_schema.table_constraints t
JOIN   information_schema.check_constraints k ON k.constraint_schema = t.constraint_schema AND k.constraint_name = t.constraint_name
WHERE  t.constraint_schema = DATABASE() AND t.table_name = ? AND t.constraint_type = 'CHECK'
  AND  k.check_clause LIKE CONCAT('%`', ?, '`%')
UNION
SELECT CAST(CONCAT('foreign key ', f.constraint_name, ' of ', f.table_name) AS CHAR),
       CAST(CONCAT('ALTER TABLE `', f.table_name, '` DROP FOREIGN KEY `', f.constraint_name, '`') AS CHAR), CAST(NULL AS CHAR), 1
FROM   information_schema.key_column_usage f
WHERE  f.referenced_table_schema = DATABASE() AND f.referenced_table_name = ? AND f.referenced_column_name = ?";
