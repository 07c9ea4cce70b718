//! Configuration: embedded defaults, the profile, a TOML file and the environment, parsed once into
//! validated types. No other module reads these sources.

pub mod allowed_host;
pub mod database_url;
mod declarations;
pub mod installed;
mod keys;
mod limits;
mod place;
mod ranges;
mod texts;

use crate::config::allowed_host::AllowedHost;
use crate::config::database_url::DatabaseUrl;
use crate::config::declarations::{dataset, datasets};
use crate::config::installed::Service;
use crate::config::keys::check_keys;
pub use crate::config::limits::Limits;
use crate::config::limits::chunk_bytes_max;
use crate::config::place::Sources;
use crate::config::ranges::{at_least_a_second, percent};
use crate::config::texts::{texts, toml_text};
use crate::feed::dataset::{Dataset, DatasetSettings};
use crate::feed::declaration::DefaultSettings;
use crate::feed::words::one_of;
use crate::process::secret::{Secret, conceal};
use crate::values::cell::NullTokens;
use config::{ConfigError, Environment, File, FileFormat, Map};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The commented default configuration, as `tidegate init` writes it.
pub const DEFAULT_TOML: &str = include_str!("../../etc/tidegate.toml");

/// The shipped profiles.
const PROFILES: [(&str, &str); 4] = [
    ("market", include_str!("../../etc/profiles/market.toml")),
    ("shopify", include_str!("../../etc/profiles/shopify.toml")),
    ("woocommerce", include_str!("../../etc/profiles/woocommerce.toml")),
    ("amazon", include_str!("../../etc/profiles/amazon.toml")),
];

/// Variables with the prefix `TIDEGATE_` that are not configuration keys.
const OTHER_VARIABLES: [&str; 1] = ["TIDEGATE_CONFIG"];

/// Name of the systemd credential that holds the database URL.
const DATABASE_CREDENTIAL: &str = "database-url";

/// Name of the configuration file in systemd's configuration directory.
pub const CONFIGURATION_NAME: &str = "tidegate.toml";

/// An error in the configuration.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// A file cannot be read or is not TOML, or a value has the wrong type.
    #[error("{}", conceal(&.0.to_string()))]
    Unreadable(#[from] ConfigError),
    /// A key that does not exist.
    #[error("unknown key `{key}`{}", nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    UnknownKey {
        /// The key, with the tables that it is in.
        key: String,
        /// The most similar known key, as a suggestion.
        nearest: Option<String>,
    },
    /// A value that is not allowed.
    #[error("{}", conceal(.0))]
    Invalid(String),
}

/// Settings of the command line. They take precedence over all other sources.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--database`
    pub database_url: Option<Secret>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// The inbox argument of `run`
    pub inbox: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// Whether to use the configuration of the installed service if no other one is named.
    /// Read-only commands do.
    pub finds_service: bool,
}

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory that `run` watches.
    pub inbox: PathBuf,
    /// Directory of checkpoints and all other local files.
    pub state_dir: PathBuf,
    /// The database that is written to.
    pub database_url: DatabaseUrl,
    /// How long commands wait for a database that is away; `run` waits without a limit.
    pub database_wait: Duration,
    /// How long a second writer waits for the lease before it gives up.
    pub lease_wait: Duration,
    /// How long one statement may take before it is cancelled and tried again.
    pub statement_max: Duration,
    /// How long a statement waits for a lock of another process before it is tried again.
    pub lock_wait: Duration,
    /// How long a file may make no progress before `/readyz` reports it.
    pub stuck_after: Duration,
    /// How long a closed file must stay unchanged before it is taken.
    pub settle: Duration,
    /// How long a file must stay unchanged if no event reported that it was closed.
    pub settle_scan: Duration,
    /// How long newer files wait for an older one that keeps changing.
    pub settle_max: Duration,
    /// The inbox is scanned at least this often, even without events.
    pub scan_interval: Duration,
    /// What happens to a file after its rows are committed.
    pub after_sync: AfterSync,
    /// Where `after_sync = "archive"` moves files to.
    pub archive_dir: PathBuf,
    /// Largest share of rejected rows, in percent. A file with a larger share is quarantined.
    pub rejects_max_percent: f64,
    /// Largest share of a declared column's values that may not fit its type, in percent. A file
    /// with more of them is quarantined.
    pub rescued_max_percent: f64,
    /// Largest share of a market's records that a file may delete, in percent. A larger deletion
    /// waits for approval.
    pub deletes_max_percent: f64,
    /// How many days earlier versions of records are kept; 0 keeps none.
    pub history_keep_days: u32,
    /// Limits on sizes, against hostile files and for the memory.
    pub limits: Limits,
    /// Directory of additional marts and views.
    pub marts_dir: Option<PathBuf>,
    /// Address of the HTTP server.
    pub listen: SocketAddr,
    /// Whether that may be an address that other machines reach.
    pub open: bool,
    /// More host names that HTTP requests may use, besides the address.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// Level or filter of the log; empty means the default of the command.
    pub log_level: String,
    /// The datasets, in the order in which their paths are matched.
    pub datasets: Vec<Arc<Dataset>>,
    /// What holds for a dataset that says nothing else.
    pub defaults: DefaultSettings,
    /// Cells that mean "no value" there.
    pub null_tokens: Arc<NullTokens>,
    /// The installed service, if this is its configuration because no other one was named.
    pub service: Option<Service>,
}

/// What happens to a file after its rows are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterSync {
    /// The file stays in the inbox.
    Keep,
    /// The file moves to the archive.
    Archive,
    /// The file is deleted.
    Delete,
}

/// What happens to a file that no dataset matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    /// The ledger lists it as `unmatched`.
    List,
    /// It gets its own table.
    Create,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` elsewhere.
    Auto,
    /// Plain lines for people.
    Human,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(rename = "profiles", deserialize_with = "texts")]
    _profiles: Vec<String>,
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
    #[serde(deserialize_with = "one_of")]
    after_sync: AfterSync,
    archive_dir: PathBuf,
    memory_max_mb: u64,
    rejects_max_percent: f64,
    rescued_max_percent: f64,
    deletes_max_percent: f64,
    history_keep_days: u32,
    file_bytes_max: u64,
    decompressed_bytes_max: u64,
    row_bytes_max: usize,
    field_bytes_max: usize,
    record_rows_max: usize,
    record_bytes_max: u64,
    columns_max: usize,
    table_columns_max: usize,
    zip_members_max: usize,
    zip_ratio_max: u64,
    record_index_bytes_min: u64,
    marts_dir: PathBuf,
    listen: String,
    open: bool,
    #[serde(deserialize_with = "texts")]
    allowed_hosts: Vec<String>,
    #[serde(deserialize_with = "one_of")]
    log_format: LogFormat,
    log_level: String,
    #[serde(deserialize_with = "one_of")]
    unmatched: Unmatched,
    unmatched_key: String,
    null_tokens: Vec<String>,
    defaults: DefaultSettings,
    #[serde(default)]
    markets: BTreeMap<String, DefaultSettings>,
    datasets: BTreeMap<String, DatasetSettings>,
}

/// Whether the environment has a variable that a library reads, and tidegate does not.
pub fn is_in_environment(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// Device and inode of the stream that systemd connected to the journal.
pub fn journal_stream() -> Option<String> {
    std::env::var("JOURNAL_STREAM").ok()
}

impl Config {
    /// Reads and validates the configuration.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and suggests the right key for a misspelled one.
    pub fn load(overrides: &Overrides) -> Result<Self, ConfigurationError> {
        Self::from_sources(overrides, &environment()?)
    }

    /// A dataset as it would be if this configuration declared it.
    ///
    /// # Errors
    ///
    /// Says which setting is wrong.
    pub fn dataset_of(
        &self,
        name: &str,
        settings: &DatasetSettings,
    ) -> Result<Arc<Dataset>, String> {
        dataset(name, settings, &self.defaults, &self.null_tokens)
    }

    /// Names of the other datasets that write to the table of a dataset.
    pub fn others_of_table(&self, dataset: &Dataset) -> Vec<String> {
        let writes_to_table = |other: &&Arc<Dataset>| {
            other.table == dataset.table && other.name != dataset.name && !other.is_template()
        };
        self.datasets.iter().filter(writes_to_table).map(|other| other.name.clone()).collect()
    }

    /// The directories below `root` that tidegate itself writes to. Files in them are not exports.
    pub fn own_dirs_below(&self, root: &Path) -> Vec<PathBuf> {
        let own = [&self.state_dir, &self.archive_dir];
        let resolved = own.into_iter().filter_map(|directory| directory.canonicalize().ok());
        let mut own_dirs: Vec<PathBuf> = own.into_iter().cloned().chain(resolved).collect();
        own_dirs.retain(|directory| directory.starts_with(root) && directory != root);
        own_dirs
    }

    /// The same configuration for a scratch SQLite database in its own state directory. Source
    /// files stay where they are.
    pub fn for_scratch(&self, directory: &Path) -> Self {
        let on_sqlite = chunk_bytes_max(self.limits.memory_bytes_max, false);
        Self {
            database_url: DatabaseUrl::of_file(&directory.join("scratch.db")),
            state_dir: directory.to_owned(),
            after_sync: AfterSync::Keep,
            history_keep_days: 0,
            limits: Limits {
                chunk_bytes_max: on_sqlite,
                spool_dir: directory.to_owned(),
                ..self.limits.clone()
            },
            ..self.clone()
        }
    }

    fn from_sources(
        overrides: &Overrides,
        environment: &Map<String, String>,
    ) -> Result<Self, ConfigurationError> {
        if let Some(service) = Service::meant(overrides, environment) {
            let overrides = Overrides { finds_service: false, ..overrides.clone() };
            let environment = environment.iter().map(|(name, value)| (name.clone(), value.clone()));
            let environment = environment.chain(service.environment()).collect();
            let base = service.state_dir.clone();
            let config = Self::from_sources_at(&base, &overrides, &environment)?;
            return Ok(Self { service: Some(service), ..config });
        }
        Self::from_sources_at(Path::new(""), overrides, environment)
    }

    /// Builds the configuration from its sources. Relative paths start from `base`.
    fn from_sources_at(
        base: &Path,
        overrides: &Overrides,
        environment: &Map<String, String>,
    ) -> Result<Self, ConfigurationError> {
        let overrides =
            &Overrides { config: configuration_file(overrides, environment), ..overrides.clone() };
        let own = sources(&[], overrides, environment)?;
        let profiles = profiles(base, &own)?;
        let merged = sources(&profiles, overrides, environment)?;
        let sources = Sources { overrides, environment, profiles: &profiles };
        let settings = check_keys(&merged).and_then(|()| Ok(merged.try_deserialize()?));
        let mut settings: Settings = settings.map_err(|error| sources.placed(error))?;
        if let (Some(directory), false) = (environment.get("STATE_DIRECTORY"), own_state_dir(&own))
        {
            settings.state_dir = PathBuf::from(directory);
        }
        let datasets = datasets(&settings, &own, &null_tokens(&settings))
            .map_err(|reason| ConfigurationError::Invalid(sources.placed_reason(reason)))?;
        Self::from_settings(base, settings, datasets, overrides, environment)
    }

    fn from_settings(
        base: &Path,
        settings: Settings,
        datasets: Vec<Arc<Dataset>>,
        overrides: &Overrides,
        environment: &Map<String, String>,
    ) -> Result<Self, ConfigurationError> {
        let absolute = |path: &Path| absolute(&base.join(path));
        let state_dir = absolute(overrides.state_dir.as_ref().unwrap_or(&settings.state_dir))?;
        let null_tokens = null_tokens(&settings);
        let listen = overrides.listen.as_ref().unwrap_or(&settings.listen);
        let inbox = absolute(overrides.inbox.as_ref().unwrap_or(&settings.inbox))?;
        if inbox == state_dir {
            return Err(ConfigurationError::Invalid(format!(
                "inbox and state_dir must not be the same directory, {}",
                inbox.display()
            )));
        }
        let database_url = database_url(base, &settings, overrides, environment, &state_dir)?;
        Ok(Self {
            inbox,
            limits: Limits::new(&settings, !database_url.is_file(), &state_dir)?,
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
            rescued_max_percent: percent("rescued_max_percent", settings.rescued_max_percent)?,
            deletes_max_percent: percent("deletes_max_percent", settings.deletes_max_percent)?,
            history_keep_days: settings.history_keep_days,
            marts_dir: (!settings.marts_dir.as_os_str().is_empty())
                .then(|| base.join(settings.marts_dir)),
            listen: listen.parse().map_err(|_| {
                ConfigurationError::Invalid(format!(
                    "listen: `{listen}` is not an address such as 127.0.0.1:9464"
                ))
            })?,
            open: settings.open,
            allowed_hosts: (settings
                .allowed_hosts
                .iter()
                .map(|host| AllowedHost::parse(host))
                .collect::<Result<_, _>>())
            .map_err(|reason| ConfigurationError::Invalid(format!("allowed_hosts: {reason}")))?,
            log_format: settings.log_format,
            log_level: settings.log_level,
            datasets,
            defaults: settings.defaults.clone(),
            null_tokens,
            state_dir,
            service: None,
        })
    }
}

fn null_tokens(settings: &Settings) -> Arc<NullTokens> {
    Arc::new(NullTokens::new(settings.null_tokens.iter().cloned()))
}

fn sources(
    profiles: &[(String, String)],
    overrides: &Overrides,
    environment: &Map<String, String>,
) -> Result<config::Config, ConfigurationError> {
    let mut builder =
        config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));
    for (_, profile) in profiles {
        builder = builder.add_source(File::from_str(profile, FileFormat::Toml));
    }
    if let Some(path) = &overrides.config {
        builder = builder.add_source(File::from_str(&toml_text(path)?, FileFormat::Toml));
    }
    let environment = Environment::with_prefix("TIDEGATE")
        .prefix_separator("_")
        .separator("__")
        .source(Some(environment.clone()));
    Ok(builder.add_source(environment).build()?)
}

/// The environment variables that are UTF-8. An error does not quote the value of another one,
/// because it may be a password in another encoding.
fn environment() -> Result<Map<String, String>, ConfigurationError> {
    let mut environment = Map::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            _ if OTHER_VARIABLES.contains(&name.as_str()) => {}
            Ok(value) => drop(environment.insert(name, value)),
            Err(_) if name.starts_with("TIDEGATE_") => {
                return Err(ConfigurationError::Invalid(format!(
                    "{name} is no UTF-8; set it again"
                )));
            }
            Err(_) => {}
        }
    }
    Ok(environment)
}

/// The configuration file that is named; otherwise, under systemd, the one in
/// `ConfigurationDirectory=`, if it exists.
fn configuration_file(overrides: &Overrides, environment: &Map<String, String>) -> Option<PathBuf> {
    overrides.config.clone().or_else(|| {
        let directory = environment.get("CONFIGURATION_DIRECTORY")?;
        Some(Path::new(directory).join(CONFIGURATION_NAME)).filter(|path| path.exists())
    })
}

/// The profiles that the other sources name, each with its text. Later ones win.
fn profiles(
    base: &Path,
    own: &config::Config,
) -> Result<Vec<(String, String)>, ConfigurationError> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(deserialize_with = "texts")]
        profiles: Vec<String>,
    }
    let profile = |name: String| {
        let shipped = PROFILES.iter().find(|(shipped, _)| *shipped == name);
        let text = shipped
            .map_or_else(|| toml_text(&base.join(&name)), |(_, text)| Ok((*text).to_owned()));
        let text = text.map_err(|error| {
            let names = PROFILES.map(|(name, _)| format!("`{name}`")).join(", ");
            ConfigurationError::Invalid(format!(
                "profiles: {error}; write names of shipped ones ({names}) or paths"
            ))
        })?;
        Ok((name, text))
    };
    own.clone().try_deserialize::<Named>()?.profiles.into_iter().map(profile).collect()
}

/// Whether the state directory was configured, and is not the embedded default.
fn own_state_dir(own: &config::Config) -> bool {
    own.get_string("state_dir").ok() != default_state_dir()
}

/// The state directory of the embedded defaults.
pub fn default_state_dir() -> Option<String> {
    let defaults = config::Config::builder()
        .add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml))
        .build();
    defaults.and_then(|defaults| defaults.get_string("state_dir")).ok()
}

/// The database URL. Sources, from highest to lowest precedence: command line, environment and
/// configuration file, `database_url_file`, the systemd credential, a SQLite file in the state
/// directory.
fn database_url(
    base: &Path,
    settings: &Settings,
    overrides: &Overrides,
    environment: &Map<String, String>,
    state_dir: &Path,
) -> Result<DatabaseUrl, ConfigurationError> {
    let credential = environment
        .get("CREDENTIALS_DIRECTORY")
        .map(|dir| Path::new(dir).join(DATABASE_CREDENTIAL));
    let url_file = Some(&settings.database_url_file).filter(|path| !path.as_os_str().is_empty());
    let url = match (&overrides.database_url, &settings.database_url) {
        (Some(url), _) => url.clone(),
        (None, url) if !url.reveal().is_empty() => url.clone(),
        _ => match url_file.map(|path| base.join(path)).or(credential.filter(|path| path.exists()))
        {
            Some(path) => Secret::new(std::fs::read_to_string(&path).map_err(|error| {
                ConfigurationError::Invalid(format!(
                    "database_url_file: cannot read {}: {error}",
                    path.display()
                ))
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
    std::path::absolute(path).map_err(|error| {
        ConfigurationError::Invalid(format!("`{}` is not a path: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests;
