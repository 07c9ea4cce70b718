//! Installed: the service with the paths of its unit file. Read-only commands use its configuration
//! if no other one is named.

use crate::config::{CONFIGURATION_NAME, Overrides, default_state_dir};
use config::Map;
use std::path::{Path, PathBuf};

/// `ConfigurationDirectory=` of the unit. The file of `LoadCredential=` is in it too.
const CONFIGURATION_DIR: &str = "/etc/tidegate";

/// `StateDirectory=` and `WorkingDirectory=` of the unit.
const STATE_DIR: &str = "/var/lib/tidegate";

/// The installed service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service's configuration file, if it exists.
    pub configuration: Option<PathBuf>,
    /// The service's state directory. Relative paths in its configuration start from it.
    pub state_dir: PathBuf,
}

impl Service {
    /// Finds the service on this machine, by its state directory.
    fn find() -> Option<Self> {
        let state_dir = PathBuf::from(STATE_DIR);
        let configuration = Self::configuration_path();
        state_dir.is_dir().then(|| Self {
            configuration: configuration.exists().then_some(configuration),
            state_dir,
        })
    }

    /// Returns the installed service if a command means its configuration. It does if no option,
    /// tidegate variable or systemd variable names another one, and the working directory has no
    /// state directory of an earlier sync.
    pub fn meant(overrides: &Overrides, environment: &Map<String, String>) -> Option<Self> {
        if !overrides.finds_service || is_elsewhere(overrides, environment) {
            return None;
        }
        let is_meant = match &overrides.config {
            // Naming the service's own configuration file means the service too.
            Some(config) => config.canonicalize().is_ok_and(|config| {
                Self::configuration_path().canonicalize().is_ok_and(|own| own == config)
            }),
            None => !default_state_dir().is_some_and(|directory| Path::new(&directory).exists()),
        };
        is_meant.then(Self::find).flatten()
    }

    /// The path of the service's configuration file, whether or not it exists.
    fn configuration_path() -> PathBuf {
        Path::new(CONFIGURATION_DIR).join(CONFIGURATION_NAME)
    }

    /// The environment variables that systemd sets for the service.
    pub fn environment(&self) -> [(String, String); 3] {
        // The unit loads its credential from a file of the same name in this directory.
        [
            ("CONFIGURATION_DIRECTORY", CONFIGURATION_DIR),
            ("CREDENTIALS_DIRECTORY", CONFIGURATION_DIR),
            ("STATE_DIRECTORY", STATE_DIR),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

/// Whether a database or a state directory is named, or this process itself was started by systemd
/// as a service.
fn is_elsewhere(overrides: &Overrides, environment: &Map<String, String>) -> bool {
    const NAMED_BY: [&str; 6] = [
        "TIDEGATE_DATABASE_URL",
        "TIDEGATE_DATABASE_URL_FILE",
        "TIDEGATE_STATE_DIR",
        "CONFIGURATION_DIRECTORY",
        "CREDENTIALS_DIRECTORY",
        "STATE_DIRECTORY",
    ];
    overrides.database_url.is_some()
        || overrides.state_dir.is_some()
        || NAMED_BY.iter().any(|name| environment.get(*name).is_some_and(|value| !value.is_empty()))
}

impl std::fmt::Display for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.configuration {
            Some(path) => write!(formatter, "configuration {}, ", path.display())?,
            None => formatter.write_str("embedded defaults, ")?,
        }
        write!(formatter, "state {}", self.state_dir.display())
    }
}
