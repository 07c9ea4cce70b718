//! File state: what has become of a version of a file.

/// State of a file in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileState {
    /// Known, waiting for its turn.
    Pending,
    /// Its rows are being written.
    Syncing,
    /// Its rows are in the tables and the marts.
    Synced,
    /// No dataset's patterns match its path.
    Unmatched,
    /// Refused as a whole.
    Quarantined,
    /// Its deletions wait for approval.
    Held,
    /// Given up.
    Failed,
    /// Taken back by an operator: nothing of it counts any more.
    Undone,
    /// Taken by an operator off the list of what needs somebody.
    Dismissed,
}

impl FileState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Syncing,
        Self::Synced,
        Self::Unmatched,
        Self::Quarantined,
        Self::Held,
        Self::Failed,
        Self::Undone,
        Self::Dismissed,
    ];

    /// The state's name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Syncing => "syncing",
            Self::Synced => "synced",
            Self::Unmatched => "unmatched",
            Self::Quarantined => "quarantined",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Dismissed => "dismissed",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Parses a state from the ledger. An unknown one can only come from a newer release; then the
    /// file is left alone.
    pub(crate) fn of_ledger(name: &str) -> Self {
        Self::from_name(name).unwrap_or(Self::Held)
    }
}
