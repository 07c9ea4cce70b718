//! Precedence: which stored records a file's ones replace, by versions.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Deletes, FeedKind};
use crate::sink::ledger::files::FileRecord;
use crate::sync::session::Session;
use std::collections::HashMap;

/// Which stored records this file's ones replace.
pub(crate) enum Precedence {
    /// All of them.
    Newest,
    /// A late full export adds what is unknown, unless a newer one has said that it is gone.
    OnlyUnknown(Unknown),
    /// All of them: a corrected copy of rejected rows is what an operator wants now. Records that consist of other rows too
    /// go by the file that has those.
    Correction(Box<Precedence>),
    /// Those that older files wrote: version and path of this file, and of the files met so far.
    Delta { own: (i64, String), others: HashMap<i64, (i64, String)> },
}

/// What becomes of a record in a late full export that the tables do not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is added.
    Added,
    /// It is added as one that a newer export does not mention.
    Marked,
    /// A newer export had it removed, or would have.
    Stale,
}

impl Precedence {
    /// That of a file which is no corrected copy.
    pub(crate) async fn of(session: &Session, file: &FileRecord, dataset: &Dataset) -> Result<Self, SyncError> {
        let own = (file.version_ms, file.path.clone());
        if dataset.kind == FeedKind::Delta {
            return Ok(Self::Delta { own, others: HashMap::new() });
        }
        Ok(match session.sink.ledger.newest_synced(file).await? {
            Some(newest) if newest > own => Self::OnlyUnknown(match dataset.deletes {
                Deletes::Keep => Unknown::Added,
                // Until a newer export is there as a whole nobody knows what it does not mention; once it is, it
                // has what is not mentioned deleted.
                _ if !session.sink.tables.is_followed_by_whole(file).await? => Unknown::Added,
                Deletes::Mark => Unknown::Marked,
                Deletes::Remove => Unknown::Stale,
            }),
            _ => Self::Newest,
        })
    }

    /// Versions of the files met so far, where they count.
    pub(crate) fn others(&mut self) -> Option<&mut HashMap<i64, (i64, String)>> {
        match self {
            Self::Delta { others, .. } => Some(others),
            Self::Correction(of_export) => of_export.others(),
            Self::Newest | Self::OnlyUnknown(_) => None,
        }
    }
}
