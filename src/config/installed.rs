//! Installed: the service as its unit file has it, which the commands that look find when nobody names another configuration.

use crate::config::{CONFIGURATION_NAME, Overrides, default_state_dir};
use config::Map;
use std::path::{Path, PathBuf};

/// `ConfigurationDirectory=` of the unit, with the file of `LoadCredential=` in it.
const CONFIGURATION_DIR: &str = "/etc/tidegate";

/// `StateDirectory=` and `WorkingDirectory=` of the unit.
const STATE_DIR: &str = "/var/lib/tidegate";

/// The installed service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its configuration file, if it has one.
    pub configuration: Option<PathBuf>,
    /// Its state directory, which its relative paths start from.
    pub state_dir: PathBuf,
}

impl Service {
    /// The service that is installed on this machine.
    fn find() -> Option<Self> {
        let state_dir = PathBuf::from(STATE_DIR);
        let configuration = Self::configuration_path();
        state_dir.is_dir().then(|| Self { configuration: configuration.exists().then_some(configuration), state_dir })
    }

    /// The service that is installed on this machine, if its configuration is meant: nobody names another one, by an option,
    /// by our environment or by systemd's, and nothing was synced into a state directory of the working directory.
    pub fn meant(overrides: &Overrides, environment: &Map<String, String>) -> Option<Self> {
        if !overrides.finds_service || is_elsewhere(overrides, environment) {
            return None;
        }
        let is_meant = match &overrides.config {
            // To name the service's own file is not to name another one.
            Some(config) => config
                .canonicalize()
                .is_ok_and(|config| Self::configuration_path().canonicalize().is_ok_and(|own| own == config)),
            None => !default_state_dir().is_some_and(|directory| Path::new(&directory).exists()),
        };
        is_meant.then(Self::find).flatten()
    }

    /// Where its configuration file is, if it has one.
    fn configuration_path() -> PathBuf {
        Path::new(CONFIGURATION_DIR).join(CONFIGURATION_NAME)
    }

    /// What systemd says to it by the environment.
    pub fn environment(&self) -> [(String, String); 3] {
        // The credential of the unit is a file of this directory, under its own name.
        [
            ("CONFIGURATION_DIRECTORY", CONFIGURATION_DIR),
            ("CREDENTIALS_DIRECTORY", CONFIGURATION_DIR),
            ("STATE_DIRECTORY", STATE_DIR),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

/// Whether a database or a state directory is named, or systemd says that this process is a service.
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
