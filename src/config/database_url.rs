//! Database URL: the address of the database, with its password. Only the part without secrets can
//! be printed.

use crate::process::secret::{Secret, make_known};
use std::fmt;
use std::path::Path;
use url::{Url, form_urlencoded};

/// Names the usual mistake in a URL, and quotes none of it.
const UNREADABLE: &str = "database_url cannot be read; write special characters of user, password and parameters as %XX: \
                          @ is %40, / is %2F, ? is %3F, # is %23, : is %3A, % is %25";

/// Parameters that hold no secret. The value of any other parameter may be one and is concealed.
const OPEN_PARAMETERS: [&str; 22] = [
    "application_name",
    "cache",
    "charset",
    "collation",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "immutable",
    "mode",
    "port",
    "socket",
    "ssl-ca",
    "ssl-cert",
    "ssl-mode",
    "sslcert",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "time-zone",
    "timezone",
    "user",
];

/// The URL of a supported database. It prints without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: Secret,
    /// The printable part: scheme, host, port and database name, or the path of a SQLite file.
    place: String,
}

impl DatabaseUrl {
    /// Parses a URL, and registers its secrets, so that they are concealed from now on.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without quoting the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text =
            text.replacen("postgresql://", "postgres://", 1).replacen("mariadb://", "mysql://", 1);
        if text.contains(['@', '?']) {
            make_known(&text);
        }
        let place = match text.split_once("://") {
            _ if text.starts_with("sqlite:") => place_of_file(&text),
            Some(("mysql" | "postgres", rest)) => place_of_server(&text, rest)?,
            _ => {
                return Err(
                    "database_url must start with sqlite://, mysql:// or postgres://".to_owned()
                );
            }
        };
        Ok(Self { url: Secret::new(text), place })
    }

    /// The URL of a SQLite file. Characters with a meaning in URLs are escaped.
    pub fn of_file(path: &Path) -> Self {
        let path = path.display().to_string();
        let url = format!(
            "sqlite://{}",
            path.replace('%', "%25").replace('?', "%3F").replace('#', "%23")
        );
        Self { place: url.clone(), url: Secret::new(url) }
    }

    /// Whether the database is a SQLite file, and not a server.
    pub fn is_file(&self) -> bool {
        self.reveal().starts_with("sqlite:")
    }

    /// The URL with its password, for the driver.
    pub fn reveal(&self) -> &str {
        self.url.reveal()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.place)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.place)
    }
}

/// The path of a SQLite file is everything before the parameters, whatever characters it has.
fn place_of_file(text: &str) -> String {
    let (place, parameters) = text.split_once('?').unwrap_or((text, ""));
    conceal_parameters(parameters);
    place.to_owned()
}

/// The printable part of a server's URL. A `#`, or an `@` after the host, most likely belongs to an
/// unescaped password. Such a URL is refused: part of the password would otherwise be read as the
/// host, and be printed.
fn place_of_server(text: &str, rest: &str) -> Result<String, String> {
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let password = user.split_once(':').map_or("", |(_, password)| password);
    let is_ambiguous = behind.contains(['@', '#']) || text.contains(char::is_control);
    let url = Url::parse(text).ok().filter(|_| !is_ambiguous).ok_or(UNREADABLE)?;
    for form in [password, url.password().unwrap_or_default(), &decoded(password)] {
        make_known(form);
    }
    conceal_parameters(behind.split_once('?').map_or("", |(_, parameters)| parameters));
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()))
}

fn conceal_parameters(parameters: &str) {
    for parameter in parameters.split('&') {
        // A parameter without `=` may be a secret too.
        let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
        if !OPEN_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) {
            let as_form = form_urlencoded::parse(parameter.as_bytes())
                .next()
                .map(|(_, value)| value.into_owned());
            for form in [value, &decoded(value), &as_form.unwrap_or_default()] {
                make_known(form);
            }
        }
    }
}

/// Decodes `%XX`. The library decodes forms, where a `+` means a space; in URLs it stays a `+`.
fn decoded(text: &str) -> String {
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(text, _)| text.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::secret::conceal;

    #[test]
    fn a_url_shows_where_the_database_is_and_nothing_else() {
        for (text, place) in [
            ("postgres://u:s3cr%2Fet@db/x?sslpassword=s3cr", "postgres://db/x"),
            ("postgresql://u:s3cr@[::1]:5433/x", "postgres://[::1]:5433/x"),
            ("mariadb://u:s3:cr@db:3307/x?ssl-mode=required", "mysql://db:3307/x"),
            ("mysql://u:s3@cr@db/x", "mysql://db/x"),
            ("mysql://u:s3 cr@db/x?socket=/run/mysqld.sock", "mysql://db/x"),
            ("postgres://u:s3cr@%2Frun%2Fpostgresql/x", "postgres://%2Frun%2Fpostgresql/x"),
            ("postgres://u:s3cr@one,two/x", "postgres://one,two/x"),
            ("postgres:///x?host=/run/postgresql&password=s3cr", "postgres:///x"),
            ("sqlite:///a@b/c.db?key=s3cr", "sqlite:///a@b/c.db"),
            ("sqlite::memory:", "sqlite::memory:"),
        ] {
            let url = DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (format!("{url}"), format!("{url:?}")),
                (place.to_owned(), place.to_owned())
            );
        }
    }

    #[test]
    fn a_password_that_would_be_taken_for_something_else_is_refused() {
        for text in [
            "postgres://u:12?34@db/x",
            "postgres://u:12#34@db/x",
            "postgres://u:12/34@db/x",
            "postgres://u:12@34/56@db/x",
            "mysql://u:ab?cd@db/x",
            "mysql://u:pw@db/x?y=a@b",
            "mysql://u:pw@[db/x",
            "mysql://u:pw\n@db/x",
            "mysql://db:port/x",
        ] {
            assert_eq!(DatabaseUrl::parse(text).expect_err(text), UNREADABLE);
        }
        let error = DatabaseUrl::parse("oracle://u:pw@db/x").expect_err("an unknown scheme");
        assert!(!error.contains("pw"), "{error}");
    }

    #[test]
    fn every_form_of_a_secret_is_concealed() {
        let text = "mysql://u:p%40ss+w0rd@db/x?sslpassword=k%2Bey%20one+two&ssl-mode=required&l0ne";
        DatabaseUrl::parse(text).expect("a URL");
        for form in [
            "p%40ss+w0rd",
            "p@ss+w0rd",
            "k%2Bey%20one+two",
            "k+ey one+two",
            "k+ey one two",
            "l0ne",
            text,
        ] {
            assert_eq!(conceal(&format!("it says {form} here")), "it says *** here");
        }
        assert_eq!(conceal("ssl-mode=required"), "ssl-mode=required");
    }
}
