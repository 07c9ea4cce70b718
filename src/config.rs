//! Configuration: embedded defaults, the profile, a TOML file and the environment, parsed once into
//! types that cannot be wrong. Nobody else reads either of them.

mod keys;
mod ranges;
mod texts;

use crate::allowed_host::AllowedHost;
use crate::database_url::DatabaseUrl;
use crate::dataset::{Dataset, DatasetSettings, NullTokens};
use crate::secret::{Secret, conceal};
use config::{ConfigError, Environment, File, FileFormat, Map};
use keys::check_keys;
use ranges::{at_least_a_second, percent};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use texts::{texts, toml_text};
use thiserror::Error;

/// The commented default configuration, as `tidegate init` writes it.
pub const DEFAULT_TOML: &str = include_str!("../etc/tidegate.toml");

const MARKET_PROFILE: &str = include_str!("../etc/profiles/market.toml");

/// Variables with the prefix that are no configuration keys.
const OTHER_VARIABLES: [&str; 1] = ["TIDEGATE_CONFIG"];

/// Name of the systemd credential that holds the database URL.
const DATABASE_CREDENTIAL: &str = "database-url";

/// Name of the configuration file in systemd's configuration directory.
const CONFIGURATION_NAME: &str = "tidegate.toml";

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// A file cannot be read or is not TOML, or a value has the wrong type.
    #[error("{}", conceal(&.0.to_string()))]
    Unreadable(#[from] ConfigError),
    /// A key that nothing reads.
    #[error("unknown key `{key}`{}", nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key, with the tables it is in.
        key: String,
        /// The known key most like it.
        nearest: Option<String>,
    },
    /// A value that makes no sense.
    #[error("{}", conceal(.0))]
    Invalid(String),
}

/// What the command line says; it wins over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--database`
    pub database_url: Option<Secret>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// The argument of `run`.
    pub inbox: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
}

/// Everything tidegate was told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The watched directory.
    pub inbox: PathBuf,
    /// Checkpoints and every other local file.
    pub state_dir: PathBuf,
    /// Where the tables are.
    pub database_url: DatabaseUrl,
    /// How long commands other than `run` wait for a database that is away.
    pub database_wait: Duration,
    /// How long a second writer waits for the lease.
    pub lease_wait: Duration,
    /// How long one statement may take.
    pub statement_max: Duration,
    /// How long a statement waits for a lock.
    pub lock_wait: Duration,
    /// How long a file may stand still before `/readyz` says so.
    pub stuck_after: Duration,
    /// Rest of a closed file before it is taken.
    pub settle: Duration,
    /// Rest of a file whose closing nobody saw.
    pub settle_scan: Duration,
    /// Longest time that newer files wait for one that does not settle.
    pub settle_max: Duration,
    /// Longest time between two scans.
    pub scan_interval: Duration,
    /// What happens to a synced file.
    pub after_sync: AfterSync,
    /// Where archived files go.
    pub archive_dir: PathBuf,
    /// Share of rejected rows above which a file is quarantined, in percent.
    pub rejects_max_percent: f64,
    /// Share of a market's records above which a deletion waits for approval, in percent.
    pub deletes_max_percent: f64,
    /// Bounds on sizes.
    pub limits: Limits,
    /// Directory of more marts and views.
    pub marts_dir: Option<PathBuf>,
    /// Address of the health check.
    pub listen: SocketAddr,
    /// Names under which it may be asked besides.
    pub allowed_hosts: Vec<AllowedHost>,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged; empty leaves it to the command.
    pub log_level: String,
    /// The feeds, by name.
    pub datasets: Vec<Arc<Dataset>>,
}

/// Bounds on sizes, all derived from the configuration.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What all of it may take together.
    pub memory_bytes_max: u64,
    /// A file up to this size is kept in memory while it is synced.
    pub content_bytes_max: u64,
    /// Text of one chunk.
    pub chunk_bytes_max: usize,
    /// Text of the records that one gathering pass holds.
    pub gather_bytes_max: u64,
    /// Paths of the inbox of which it is known what the ledger says, without asking it at each scan.
    pub known_files_max: usize,
    /// Largest file.
    pub file_bytes_max: u64,
    /// What a compressed file may unpack to.
    pub decompressed_bytes_max: u64,
    /// Longest row.
    pub row_bytes_max: usize,
    /// Longest value.
    pub field_bytes_max: usize,
    /// Most rows of a record.
    pub record_rows_max: usize,
    /// Longest text of a record.
    pub record_bytes_max: u64,
    /// Most columns of a file.
    pub columns_max: usize,
    /// Most columns of a table.
    pub table_columns_max: usize,
    /// Smallest text of a full export that leaves an index of its records.
    pub record_index_bytes_min: u64,
}

/// What happens to a file after its rows are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterSync {
    /// It stays.
    Keep,
    /// It moves to the archive.
    Archive,
    /// It is removed.
    Delete,
}

/// What becomes of a file that no dataset matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    /// It is listed.
    List,
    /// It gets a table of its own.
    Create,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(rename = "profile")]
    _profile: String,
    inbox: PathBuf,
    state_dir: PathBuf,
    database_url: Secret,
    database_url_file: PathBuf,
    database_wait_ms: u64,
    lease_wait_ms: u64,
    statement_max_ms: u64,
    lock_wait_ms: u64,
    stuck_after_ms: u64,
    settle_ms: u64,
    settle_scan_ms: u64,
    settle_max_ms: u64,
    scan_interval_ms: u64,
    after_sync: AfterSync,
    archive_dir: PathBuf,
    memory_max_mb: u64,
    rejects_max_percent: f64,
    deletes_max_percent: f64,
    file_bytes_max: u64,
    decompressed_bytes_max: u64,
    row_bytes_max: usize,
    field_bytes_max: usize,
    record_rows_max: usize,
    record_bytes_max: u64,
    columns_max: usize,
    table_columns_max: usize,
    record_index_bytes_min: u64,
    marts_dir: PathBuf,
    listen: String,
    #[serde(deserialize_with = "texts")]
    allowed_hosts: Vec<String>,
    log_format: LogFormat,
    log_level: String,
    unmatched: Unmatched,
    unmatched_key: String,
    null_tokens: Vec<String>,
    datasets: BTreeMap<String, DatasetSettings>,
}

/// Whether the environment has a variable that a library reads, rather than tidegate.
pub fn is_in_environment(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and for a misspelt key which one was meant.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigurationError> {
        Self::from_sources(overrides, &environment()?)
    }

    /// The directories below `root` that tidegate itself writes to: what is in them is no export.
    pub fn own_dirs_below(&self, root: &Path) -> Vec<PathBuf> {
        let own = [&self.state_dir, &self.archive_dir];
        let resolved = own.into_iter().filter_map(|directory| directory.canonicalize().ok());
        let mut own_dirs: Vec<PathBuf> = own.into_iter().cloned().chain(resolved).collect();
        own_dirs.retain(|directory| directory.starts_with(root) && directory != root);
        own_dirs
    }

    /// The same rules for a SQLite database and a state directory of their own, where files stay what they are.
    pub fn for_scratch(&self, directory: &Path) -> Self {
        let on_sqlite = chunk_bytes_max(self.limits.memory_bytes_max, false);
        Self {
            database_url: DatabaseUrl::of_file(&directory.join("scratch.db")),
            state_dir: directory.to_owned(),
            after_sync: AfterSync::Keep,
            limits: Limits { chunk_bytes_max: on_sqlite, ..self.limits.clone() },
            ..self.clone()
        }
    }

    fn from_sources(overrides: &Overrides, environment: &Map<String, String>) -> Result<Self, ConfigurationError> {
        let overrides = &Overrides { config: configuration_file(overrides, environment), ..overrides.clone() };
        let own = sources(None, overrides, environment)?;
        let profile = profile_text(&own.get_string("profile")?)?;
        let merged = sources(Some(&profile), overrides, environment)?;
        check_keys(&merged)?;
        let mut settings: Settings = merged.try_deserialize()?;
        if let (Some(directory), false) = (environment.get("STATE_DIRECTORY"), own_state_dir(&own)) {
            settings.state_dir = PathBuf::from(directory);
        }
        Self::from_settings(settings, overrides, environment)
    }

    fn from_settings(
        settings: Settings,
        overrides: &Overrides,
        environment: &Map<String, String>,
    ) -> Result<Self, ConfigurationError> {
        let state_dir = absolute(overrides.state_dir.as_ref().unwrap_or(&settings.state_dir))?;
        let null_tokens = Arc::new(NullTokens::new(settings.null_tokens.iter().cloned()));
        let mut datasets: Vec<Arc<Dataset>> = settings
            .datasets
            .iter()
            .map(|(name, dataset)| Dataset::new(name, dataset, &null_tokens).map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(ConfigurationError::Invalid)?;
        if settings.unmatched == Unmatched::Create {
            // The last one: a file belongs to the first dataset that matches.
            datasets.push(Arc::new(Dataset::template(&settings.unmatched_key, &datasets, &null_tokens)));
        }
        let listen = overrides.listen.as_ref().unwrap_or(&settings.listen);
        let inbox = absolute(overrides.inbox.as_ref().unwrap_or(&settings.inbox))?;
        if inbox == state_dir {
            return Err(ConfigurationError::Invalid(format!(
                "inbox and state_dir must not be the same directory, {}",
                inbox.display()
            )));
        }
        let database_url = database_url(&settings, overrides, environment, &state_dir)?;
        Ok(Self {
            inbox,
            limits: Limits::new(&settings, !database_url.is_file())?,
            database_url,
            database_wait: Duration::from_millis(settings.database_wait_ms),
            lease_wait: Duration::from_millis(settings.lease_wait_ms),
            statement_max: at_least_a_second("statement_max_ms", settings.statement_max_ms)?,
            lock_wait: at_least_a_second("lock_wait_ms", settings.lock_wait_ms)?,
            stuck_after: at_least_a_second("stuck_after_ms", settings.stuck_after_ms)?,
            settle: Duration::from_millis(settings.settle_ms),
            settle_scan: Duration::from_millis(settings.settle_scan_ms),
            settle_max: Duration::from_millis(settings.settle_max_ms),
            scan_interval: Duration::from_millis(settings.scan_interval_ms.max(1)),
            after_sync: settings.after_sync,
            archive_dir: match settings.archive_dir.as_os_str().is_empty() {
                true => state_dir.join("archive"),
                false => absolute(&settings.archive_dir)?,
            },
            rejects_max_percent: percent("rejects_max_percent", settings.rejects_max_percent)?,
            deletes_max_percent: percent("deletes_max_percent", settings.deletes_max_percent)?,
            marts_dir: (!settings.marts_dir.as_os_str().is_empty()).then_some(settings.marts_dir),
            listen: listen.parse().map_err(|_| {
                ConfigurationError::Invalid(format!("listen: `{listen}` is not an address such as 127.0.0.1:9464"))
            })?,
            allowed_hosts: (settings
                .allowed_hosts
                .iter()
                .map(|host| AllowedHost::parse(host))
                .collect::<Result<_, _>>())
            .map_err(|reason| ConfigurationError::Invalid(format!("allowed_hosts: {reason}")))?,
            log_format: settings.log_format,
            log_level: settings.log_level,
            datasets,
            state_dir,
        })
    }
}

impl Limits {
    /// Two lanes may have four records each under way, and a record's text grows about tenfold in memory, as a chunk's does.
    const RECORDS_IN_MEMORY: u64 = 64;

    /// Smallest memory that the parts below still make sense in.
    const MEMORY_MB_MIN: u64 = 64;

    fn new(settings: &Settings, is_on_server: bool) -> Result<Self, ConfigurationError> {
        if settings.memory_max_mb < Self::MEMORY_MB_MIN {
            return Err(ConfigurationError::Invalid(format!("memory_max_mb must be at least {}", Self::MEMORY_MB_MIN)));
        }
        let record_bytes_max = usize::try_from(settings.record_bytes_max).unwrap_or(usize::MAX);
        for (key, value) in [
            ("record_bytes_max", record_bytes_max),
            ("row_bytes_max", settings.row_bytes_max),
            ("field_bytes_max", settings.field_bytes_max),
            ("record_rows_max", settings.record_rows_max),
            ("columns_max", settings.columns_max),
            ("table_columns_max", settings.table_columns_max),
        ] {
            if value == 0 {
                return Err(ConfigurationError::Invalid(format!("{key} must be at least 1")));
            }
        }
        let memory_bytes = settings.memory_max_mb << 20;
        Ok(Self {
            memory_bytes_max: memory_bytes,
            content_bytes_max: memory_bytes / 8,
            chunk_bytes_max: chunk_bytes_max(memory_bytes, is_on_server),
            gather_bytes_max: memory_bytes / 16,
            // Each takes 48 bytes, in a table that may be half empty: a fifth of the memory at most.
            known_files_max: usize::try_from(memory_bytes / 512).unwrap_or(usize::MAX),
            file_bytes_max: settings.file_bytes_max,
            decompressed_bytes_max: settings.decompressed_bytes_max,
            row_bytes_max: settings.row_bytes_max,
            field_bytes_max: settings.field_bytes_max,
            record_rows_max: settings.record_rows_max,
            record_bytes_max: settings.record_bytes_max.min(memory_bytes / Self::RECORDS_IN_MEMORY),
            columns_max: settings.columns_max,
            table_columns_max: settings.table_columns_max,
            record_index_bytes_min: settings.record_index_bytes_min,
        })
    }
}

/// A chunk's text grows about tenfold on its way through arrow arrays into statements, and two lanes have four chunks each under
/// way: one 256th of the memory each keeps them to a third. Beside a server's database, which takes its memory elsewhere, twice
/// as much has fewer commits wait for its disk; but little memory is no more than the program itself needs.
fn chunk_bytes_max(memory_bytes: u64, is_on_server: bool) -> usize {
    const PLENTY_BYTES: u64 = 256 << 20;
    let share = if is_on_server && memory_bytes >= PLENTY_BYTES { 128 } else { 256 };
    usize::try_from((memory_bytes / share).min(4 << 20)).expect("at most 4 MiB")
}

fn sources(
    profile: Option<&str>,
    overrides: &Overrides,
    environment: &Map<String, String>,
) -> Result<config::Config, ConfigurationError> {
    let mut builder = config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));
    if let Some(profile) = profile {
        builder = builder.add_source(File::from_str(profile, FileFormat::Toml));
    }
    if let Some(path) = &overrides.config {
        builder = builder.add_source(File::from_str(&toml_text(path)?, FileFormat::Toml));
    }
    let environment =
        Environment::with_prefix("TIDEGATE").prefix_separator("_").separator("__").source(Some(environment.clone()));
    Ok(builder.add_source(environment).build()?)
}

/// The environment, as far as it is text. What is not may be a password in another encoding, so it is not repeated.
fn environment() -> Result<Map<String, String>, ConfigurationError> {
    let mut environment = Map::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            _ if OTHER_VARIABLES.contains(&name.as_str()) => {}
            Ok(value) => drop(environment.insert(name, value)),
            Err(_) if name.starts_with("TIDEGATE_") => {
                return Err(ConfigurationError::Invalid(format!("{name} is no UTF-8; write it anew")));
            }
            Err(_) => {}
        }
    }
    Ok(environment)
}

/// The file that somebody names; else, under systemd, the one in `ConfigurationDirectory=`, if it is there.
fn configuration_file(overrides: &Overrides, environment: &Map<String, String>) -> Option<PathBuf> {
    overrides.config.clone().or_else(|| {
        let directory = environment.get("CONFIGURATION_DIRECTORY")?;
        Some(Path::new(directory).join(CONFIGURATION_NAME)).filter(|path| path.exists())
    })
}

fn profile_text(profile: &str) -> Result<String, ConfigurationError> {
    if profile == "market" {
        return Ok(MARKET_PROFILE.to_owned());
    }
    toml_text(Path::new(profile))
}

/// Whether the state directory was chosen by somebody, rather than by the embedded defaults.
fn own_state_dir(own: &config::Config) -> bool {
    let defaults = config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml)).build();
    let default = defaults.and_then(|defaults| defaults.get_string("state_dir"));
    own.get_string("state_dir").ok() != default.ok()
}

/// The URL by falling precedence: command line, environment and file, `database_url_file`, systemd's
/// credential, a SQLite file in the state directory.
fn database_url(
    settings: &Settings,
    overrides: &Overrides,
    environment: &Map<String, String>,
    state_dir: &Path,
) -> Result<DatabaseUrl, ConfigurationError> {
    let credential = environment.get("CREDENTIALS_DIRECTORY").map(|dir| Path::new(dir).join(DATABASE_CREDENTIAL));
    let url_file = Some(&settings.database_url_file).filter(|path| !path.as_os_str().is_empty());
    let url = match (&overrides.database_url, &settings.database_url) {
        (Some(url), _) => url.clone(),
        (None, url) if !url.reveal().is_empty() => url.clone(),
        _ => match url_file.cloned().or(credential.filter(|path| path.exists())) {
            Some(path) => Secret::new(std::fs::read_to_string(&path).map_err(|error| {
                ConfigurationError::Invalid(format!("database_url_file: cannot read {}: {error}", path.display()))
            })?),
            None => Secret::new(""),
        },
    };
    match url.reveal().trim() {
        "" => Ok(DatabaseUrl::of_file(&state_dir.join("tidegate.db"))),
        url => DatabaseUrl::parse(url).map_err(ConfigurationError::Invalid),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigurationError> {
    std::path::absolute(path)
        .map_err(|error| ConfigurationError::Invalid(format!("`{}` is not a path: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
        config.write_all(file.as_bytes()).expect("space in the temporary directory");
        let overrides = Overrides { config: Some(config.path().to_owned()), ..Overrides::default() };
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Config::from_sources(&overrides, &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn the_embedded_defaults_and_profile_are_valid() {
        let config = load("", &[]).expect("defaults");
        assert_eq!(config.datasets.len(), 3);
        assert_eq!(config.settle, Duration::from_millis(200));
        assert!(config.database_url.reveal().starts_with("sqlite:///"));
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_profile() {
        let config = load("settle_ms = 5\n[datasets.orders]\nkind = \"delta\"", &[("TIDEGATE_SETTLE_MS", "7")]);
        let config = config.expect("valid");
        assert_eq!(config.settle, Duration::from_millis(7));
        let orders = config.datasets.iter().find(|dataset| dataset.name == "orders").expect("of the profile");
        assert_eq!(orders.kind, crate::dataset::FeedKind::Delta);
        assert_eq!(orders.table, "orders");
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        let error = |file, environment| load(file, environment).expect_err("an unknown key");
        assert_eq!(error("setle_ms = 5", &[]), "unknown key `setle_ms`; did you mean `settle_ms`?");
        assert_eq!(
            error("[datasets.orders]\nkeys = 'x'", &[]),
            "unknown key `datasets.orders.keys`; did you mean `datasets.orders.key`?"
        );
        assert_eq!(error("", &[("TIDEGATE_STATEDIR", "x")]), "unknown key `statedir`; did you mean `state_dir`?");
    }

    #[test]
    fn bounds_are_at_least_a_second_and_fit_into_what_servers_count_in() {
        for key in ["statement_max_ms", "lock_wait_ms", "stuck_after_ms"] {
            for value in ["0", "999", "2147483648"] {
                let error = load(&format!("{key} = {value}"), &[]).expect_err("out of range");
                assert_eq!(error, format!("{key} must be between 1000 and 2147483647"));
            }
            assert!(load(&format!("{key} = 1000"), &[]).is_ok());
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = load("", &[("TIDEGATE_DATABASE_URL", "postgres://u:s3cret@db/x?sslpassword=s3cret")]);
        let config = config.expect("valid");
        assert_eq!(format!("{:?}", config.database_url), "postgres://db/x");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn no_error_quotes_a_secret() {
        for (file, said) in [
            ("settle_ms = 1\ndatabase_url = \"mysql://u:s3cret@db/x\nmore", ", line "),
            ("database_url = mysql://u:s3cret@db/x", "line 1, column"),
            ("database_url = \"mysql://u:s3cret@db/x\"\ndatabase_url = \"mysql://u:s3cret@db/x\"", "line 2, column"),
            ("database_url = [\"mysql://u:s3cret@db/x\"]", "database_url"),
            ("settle_ms = \"mysql://u:s3cret@db/x\"", "settle_ms"),
            ("listen = \"mysql://u:s3cret@db/x\"", "listen"),
            ("database_url = \"mysql://u:s3?cret@db/x\"", "write special characters"),
        ] {
            let error = load(file, &[]).expect_err(file);
            assert!(error.contains(said) && !error.contains("s3"), "{error}");
        }
    }

    #[test]
    fn the_profile_knows_its_paths() {
        let config = load("", &[]).expect("defaults");
        let route = |path: &str| {
            let found = config.datasets.iter().find_map(|dataset| Some((dataset.name.clone(), dataset.route(path)?)));
            found.map(|(name, route)| (name, route.market, route.date.map(|date| date.to_string())))
        };
        let expect = |name: &str, market: &str, date: Option<&str>| {
            Some((name.to_owned(), market.to_owned(), date.map(str::to_owned)))
        };
        assert_eq!(route("/in/Market 1 Orders.csv"), expect("orders", "1", None));
        assert_eq!(route("/in/market-1-orders-2022-02-17.csv"), expect("orders", "1", Some("2022-02-17")));
        assert_eq!(route("/in/market1/orders.csv"), expect("orders", "1", None));
        assert_eq!(route("/in/MARKET 2 CUSTOMERS.JSON"), expect("customers", "2", None));
        assert_eq!(route("/in/market_west-coast_deliveries.tsv"), expect("deliveries", "west-coast", None));
        assert_eq!(route("/in/2022-02-17 Market 3 Orders.csv"), expect("orders", "3", Some("2022-02-17")));
        assert_eq!(route("/market 9/Market 1 Orders.csv"), expect("orders", "1", None));
        assert_eq!(route("/in/Market 1 Orders.csv.gz"), expect("orders", "1", None));
        assert_eq!(route("/in/market-1-customers-2022-02-17.ndjson.zst"), expect("customers", "1", Some("2022-02-17")));
        assert_eq!(route("/in/Market 1 Orders.xlsx"), None);
        assert_eq!(route("/in/Market 1 Orders.gz"), None);
        assert_eq!(route("/in/supermarket orders.csv"), None);
        assert_eq!(route("/in/marketing/orders.csv"), None);
    }
}
