//! Precedence: which stored records a file's ones replace, by versions.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Deletes, FeedKind};
use crate::feed::version::Version;
use crate::sink::ledger::files::FileRecord;
use crate::sync::session::Session;
use std::collections::HashMap;

/// Which stored records this file's ones replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// All of them.
    Newest,
    /// A late full export adds what is unknown, unless a newer one has said that it is gone.
    OnlyUnknown(Unknown),
    /// All of them: a corrected copy of rejected rows is what an operator wants now. Records that
    /// consist of other rows too go by the file that has those.
    Correction(Box<Precedence>),
    /// Those that older files wrote: the version of this file, and those of the files met so far.
    Delta { own: Version, others: HashMap<i64, Version> },
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
    pub(crate) async fn of(
        session: &Session,
        file: &FileRecord,
        dataset: &Dataset,
    ) -> Result<Self, SyncError> {
        if dataset.kind == FeedKind::Delta {
            return Ok(Self::of_delta(file.version()));
        }
        let newest = session.sink.ledger.newest_synced(file).await?;
        let is_late = newest.is_some_and(|newest| newest > file.version());
        let is_followed_by_whole = is_late
            && dataset.deletes != Deletes::Keep
            && session.sink.tables.is_followed_by_whole(file).await?;
        Ok(Self::of_full(is_late, dataset.deletes, is_followed_by_whole))
    }

    fn of_delta(own: Version) -> Self {
        Self::Delta { own, others: HashMap::new() }
    }

    /// That of a full export: `is_late` if a newer one was synced, `is_followed_by_whole` if a
    /// newer one was written to its end.
    const fn of_full(is_late: bool, deletes: Deletes, is_followed_by_whole: bool) -> Self {
        if !is_late {
            return Self::Newest;
        }
        Self::OnlyUnknown(match deletes {
            Deletes::Keep => Unknown::Added,
            // Until a newer export is there as a whole nobody knows what it does not mention; once
            // it is, it has what is not mentioned deleted.
            _ if !is_followed_by_whole => Unknown::Added,
            Deletes::Mark => Unknown::Marked,
            Deletes::Remove => Unknown::Stale,
        })
    }

    /// Versions of the files met so far, where they count.
    pub(crate) fn others(&mut self) -> Option<&mut HashMap<i64, Version>> {
        match self {
            Self::Delta { others, .. } => Some(others),
            Self::Correction(of_export) => of_export.others(),
            Self::Newest | Self::OnlyUnknown(_) => None,
        }
    }

    /// Whether a record that is not stored is added. A corrected copy marks nothing: what a newer
    /// export would have marked is left out with what it would have removed.
    pub(crate) fn adds_unknown(&self, is_correction: bool) -> bool {
        !matches!(self, Self::OnlyUnknown(unknown)
            if *unknown == Unknown::Stale || (is_correction && *unknown == Unknown::Marked))
    }

    /// Whether a record replaces the stored one that another file wrote.
    pub(crate) fn wins_over(&self, file_id: i64) -> bool {
        match self {
            Self::Newest | Self::Correction(_) => true,
            Self::OnlyUnknown(_) => false,
            // A file that the ledger does not know any more is older.
            Self::Delta { own, others } => others.get(&file_id).is_none_or(|other| own >= other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(ms: i64) -> Version {
        Version { ms, path: "/in/a.csv".to_owned() }
    }

    #[test]
    fn the_newest_export_replaces_all_records_a_late_one_none() {
        let newest = Precedence::of_full(false, Deletes::Keep, false);
        assert!(newest.wins_over(7) && newest.adds_unknown(false));
        let late = Precedence::of_full(true, Deletes::Keep, true);
        assert!(!late.wins_over(7) && late.adds_unknown(false));
    }

    #[test]
    fn a_late_export_adds_nothing_that_a_newer_whole_one_removed() {
        let late = |deletes, is_followed| Precedence::of_full(true, deletes, is_followed);
        assert!(!late(Deletes::Remove, true).adds_unknown(false));
        assert!(late(Deletes::Remove, false).adds_unknown(false));
        assert_eq!(late(Deletes::Mark, true), Precedence::OnlyUnknown(Unknown::Marked));
        assert!(late(Deletes::Mark, true).adds_unknown(false));
        assert!(!late(Deletes::Mark, true).adds_unknown(true));
    }

    #[test]
    fn a_delta_wins_over_records_of_older_files_only() {
        let mut delta = Precedence::of_delta(version(20));
        let others = delta.others().expect("versions count in a delta");
        others.extend([(1, version(10)), (2, version(20)), (3, version(30))]);
        assert_eq!([1, 2, 3].map(|file_id| delta.wins_over(file_id)), [true, true, false]);
        assert!(delta.wins_over(4));
    }
}
