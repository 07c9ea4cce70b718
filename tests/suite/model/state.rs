//! The model: what the tables of one market must hold after its files, written from the contract
//! alone.

use crate::model::feed::{DAY_MS, Feed};
use crate::model::file::{File, Row};
use crate::model::lines::{columns_of, places, stem};
use crate::model::stored::{Stored, header, line_rows, order, owned, task};
use crate::shop::Shop;
use std::collections::{BTreeMap, BTreeSet};

/// Version and path: which of two files is the newer one.
pub type Rank = (i64, String);

/// A record as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub header: Stored,
    pub lines: Vec<Stored>,
    /// The file that last vouched for it.
    by: Rank,
    /// The name of the file whose rejects that one corrects.
    corrects: Option<String>,
    /// Whether the newest full export did not mention it.
    pub is_marked: bool,
}

/// What the ledger must say about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub rejected: u64,
    pub skipped: u64,
    pub repaired: u64,
    pub new: u64,
    pub modified: u64,
    pub unchanged: u64,
    pub stale: u64,
    pub deleted: u64,
}

/// A file as it is dropped.
#[derive(Clone, Debug)]
pub struct Drop {
    pub feed: Feed,
    /// Below the inbox.
    pub path: String,
    pub file: File,
    /// Milliseconds since 1970.
    pub modified: i64,
    /// Midnight of the date in its name.
    pub date: Option<i64>,
}

impl Drop {
    /// Whether it is a corrected copy of rejects.
    pub fn is_correction(&self) -> bool {
        self.path.ends_with(".rejects.csv")
    }
}

/// How the files are to be taken.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Feeds whose files hold only what changed.
    pub deltas: Vec<Feed>,
    pub rejects_max_percent: u64,
    /// What becomes of records that the newest full export of a feed does not mention.
    pub deletes: BTreeMap<Feed, Deletes>,
    pub deletes_max_percent: usize,
}

/// What becomes of records that the newest full export does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    Mark,
    Remove,
}

/// What the ledger knows of a path.
#[derive(Clone, Debug)]
struct Known {
    feed: Feed,
    bytes: Vec<u8>,
    version: i64,
    /// What it mentions, while its deletion waits for approval.
    held: Option<BTreeSet<String>>,
}

/// One market.
#[derive(Clone, Debug, Default)]
pub struct Market {
    feeds: BTreeMap<Feed, Lane>,
    /// The last content of each path: its state and counts.
    pub ledger: BTreeMap<String, (&'static str, Counts)>,
    /// The last content of each path that reached the tables.
    taken: BTreeMap<String, Known>,
    /// What lies in the inbox.
    inbox: BTreeMap<String, Vec<u8>>,
}

/// A file that had rejects.
#[derive(Clone, Debug)]
struct Rejected {
    rank: Rank,
    bytes: Vec<u8>,
    rows: Vec<Row>,
    /// By the number of the row, its record: empty for none, `None` where that cannot be read.
    rejects: BTreeMap<u64, Option<String>>,
    open: BTreeSet<u64>,
    /// What corrected copies made of its rows.
    corrected: BTreeMap<u64, Row>,
}

/// The files of one feed.
#[derive(Clone, Debug, Default)]
struct Lane {
    records: BTreeMap<String, Record>,
    /// Of every path, the newest version that reached the tables.
    newest: Option<Rank>,
    /// Files with rejects, in the order in which they were taken.
    rejected: Vec<Rejected>,
}

impl Market {
    /// Takes the files of one sync, in the order of their versions.
    pub fn take(&mut self, drops: &[Drop], rules: &Rules) {
        let mut ranked: Vec<(Rank, &Drop)> =
            drops.iter().map(|drop| ((self.version(drop), drop.path.clone()), drop)).collect();
        ranked.sort_by(|one, other| one.0.cmp(&other.0));
        for (rank, drop) in ranked {
            self.take_file(&rank, drop, rules);
        }
    }

    /// What happens to the inbox before a sync.
    pub fn see(&mut self, gone: &[String], drops: &[Drop]) {
        gone.iter().for_each(|path| drop(self.inbox.remove(path)));
        self.inbox.extend(drops.iter().map(|drop| (drop.path.clone(), drop.file.bytes.clone())));
    }

    /// New content at a known path is newer than what was there.
    fn version(&self, drop: &Drop) -> i64 {
        let own = drop
            .date
            .map_or(drop.modified, |midnight| drop.modified.clamp(midnight, midnight + DAY_MS - 1));
        match self.taken.get(&drop.path) {
            Some(known) if known.bytes == drop.file.bytes => known.version,
            Some(known) => own.max(known.version + 1),
            None => own,
        }
    }

    fn take_file(&mut self, rank: &Rank, drop: &Drop, rules: &Rules) {
        let is_quarantined =
            self.ledger.get(&drop.path).is_some_and(|(state, _)| *state == "quarantined");
        let known = self.taken.get(&drop.path).filter(|known| known.bytes == drop.file.bytes);
        // What waits for approval is taken again if something else stood in its place meanwhile.
        if known.is_some_and(|known| known.held.is_none() || !is_quarantined) {
            return;
        }
        let Some(rows) = &drop.file.rows else {
            self.ledger.insert(drop.path.clone(), ("quarantined", Counts::default()));
            return;
        };
        let mut counts = Counts { read: rows.len() as u64, ..Counts::default() };
        if drop.is_correction() {
            let lane = self.feeds.entry(drop.feed).or_default();
            lane.take_correction(rank, drop, rows, &self.inbox, rules, &mut counts);
            self.ledger.insert(drop.path.clone(), ("synced", counts));
            let known = Known {
                feed: drop.feed,
                bytes: drop.file.bytes.clone(),
                version: rank.0,
                held: None,
            };
            self.taken.insert(drop.path.clone(), known);
            return;
        }
        let records = whole_records(rows, &mut counts);
        if counts.rejected * 100 > rules.rejects_max_percent * counts.read {
            self.ledger.insert(drop.path.clone(), ("quarantined", Counts::default()));
            return;
        }
        let is_delta = rules.deltas.contains(&drop.feed);
        let lane = self.feeds.entry(drop.feed).or_default();
        let is_late = !is_delta && lane.newest.as_ref().is_some_and(|newest| newest > rank);
        let deletes = rules.deletes.get(&drop.feed).copied().filter(|_| !is_delta);
        let keeps = rows.iter().any(Row::is_of_unknown_record);
        let columns = columns_of(rows);
        for (key, of_record) in &records {
            let precedence = Precedence { is_delta, is_late, deletes, rank, correction: None };
            let file = Lines { rows: of_record, columns: &columns, keeps };
            counts.duplicate += duplicates(drop.feed, of_record, |_| true);
            lane.take_record(drop.feed, key, file, precedence, &mut counts);
        }
        lane.note_rejects(rank, drop, rows, &records, !is_delta && !is_late);
        counts.accepted = counts.read - counts.duplicate - counts.rejected - counts.skipped;
        lane.newest = lane.newest.take().max(Some(rank.clone()));
        let mentioned: BTreeSet<String> = rows.iter().filter_map(|row| row.key.clone()).collect();
        let mut held = None;
        if let Some(deletes) = deletes.filter(|_| !is_late) {
            let has_keyless = rows.iter().any(Row::is_of_unknown_record);
            let unmentioned = lane.unmentioned(&mentioned);
            let stored = lane.records.values().filter(|record| !record.is_marked).count();
            let is_guarded =
                unmentioned.len() * 100 > rules.deletes_max_percent * stored || has_keyless;
            if unmentioned.is_empty() || !is_guarded {
                lane.delete(&unmentioned, deletes, &mut counts);
            } else {
                held = Some(mentioned);
            }
        }
        if !is_delta && !is_late {
            self.supersede(drop.feed);
        }
        let state = if held.is_some() { "held" } else { "synced" };
        self.ledger.insert(drop.path.clone(), (state, counts));
        let known =
            Known { feed: drop.feed, bytes: drop.file.bytes.clone(), version: rank.0, held };
        self.taken.insert(drop.path.clone(), known);
    }

    /// What waits for approval waits no more once a newer export is there.
    fn supersede(&mut self, feed: Feed) {
        for (path, known) in
            self.taken.iter_mut().filter(|(_, known)| known.feed == feed && known.held.is_some())
        {
            known.held = None;
            if let Some((state, _)) =
                self.ledger.get_mut(path).filter(|(state, _)| *state == "held")
            {
                *state = "synced";
            }
        }
    }

    /// Paths of files that wait for approval, and whose content is there.
    pub fn held(&self) -> impl Iterator<Item = &String> {
        self.ledger.iter().filter(|(_, (state, _))| *state == "held").map(|(path, _)| path)
    }

    /// An operator lets a file make its deletion.
    pub fn approve(&mut self, path: &str, rules: &Rules) {
        let known = self.taken.get_mut(path).expect("it is held");
        let mut mentioned = known.held.take().expect("it is held");
        let lane = self.feeds.get_mut(&known.feed).expect("it has records");
        // What an operator put in is not missing.
        if let Some(file) = lane.rejected.iter().rev().find(|file| file.rank.1 == path) {
            mentioned.extend(file.corrected.values().filter_map(|row| row.key.clone()));
        }
        let (state, counts) = self.ledger.get_mut(path).expect("it is held");
        lane.delete(&lane.unmentioned(&mentioned), rules.deletes[&known.feed], counts);
        *state = "synced";
    }

    pub fn records(&self, feed: Feed) -> impl Iterator<Item = (&String, &Record)> {
        self.feeds.get(&feed).into_iter().flat_map(|lane| &lane.records)
    }

    /// Orders and tasks as the marts see them.
    pub fn shop(&self) -> Shop {
        let live = |feed| self.records(feed).filter(|(_, record)| !record.is_marked);
        let orders = live(Feed::Orders).map(|(id, record)| order(id, record)).collect();
        let tasks = live(Feed::Deliveries).map(|(id, record)| task(id, &record.header)).collect();
        Shop { orders, tasks }
    }
}

/// The records of a file without those that one bad row rejects.
fn whole_records<'a>(rows: &'a [Row], counts: &mut Counts) -> BTreeMap<&'a String, Vec<&'a Row>> {
    let mut records: BTreeMap<&String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        match &row.key {
            Some(key) => records.entry(key).or_default().push(row),
            None if row.is_header => counts.skipped += 1,
            None => counts.rejected += 1,
        }
    }
    records.retain(|_, rows| {
        let is_broken = rows.iter().any(|row| row.is_broken);
        if is_broken {
            counts.rejected += rows.len() as u64;
        } else {
            counts.repaired += rows.iter().filter(|row| row.is_shifted).count() as u64;
        }
        !is_broken
    });
    records
}

/// Rows that another one repeats or replaces, of those that count.
fn duplicates(feed: Feed, rows: &[&Row], counts: impl Fn(&Row) -> bool) -> u64 {
    let kept = match feed {
        Feed::Customers => rows[rows.len() - 1..].to_vec(),
        _ => line_rows(feed, rows),
    };
    let is_kept = |row: &&Row| kept.iter().any(|kept| std::ptr::eq(*kept, *row));
    rows.iter().filter(|row| counts(row) && !is_kept(row)).count() as u64
}

impl Lane {
    /// Keeps what a corrected copy may come back to, and closes what the file says anew.
    fn note_rejects(
        &mut self,
        rank: &Rank,
        drop: &Drop,
        rows: &[Row],
        whole: &BTreeMap<&String, Vec<&Row>>,
        is_newest: bool,
    ) {
        for other in self.rejected.iter_mut().filter(|other| is_newest || other.rank.1 == rank.1) {
            other.open.clear();
        }
        let is_kept = |row: &Row| {
            row.is_header || row.key.as_ref().is_some_and(|key| whole.contains_key(key))
        };
        let numbered =
            (1..).zip(rows).map(|(number, row)| (!is_kept(row)).then(|| (number, row.key.clone())));
        let rejects: BTreeMap<_, _> = numbered.flatten().collect();
        if !rejects.is_empty() {
            let (open, rows, corrected) =
                (rejects.keys().copied().collect(), rows.to_vec(), BTreeMap::new());
            let (rank, bytes) = (rank.clone(), drop.file.bytes.clone());
            self.rejected.push(Rejected { rank, bytes, rows, rejects, open, corrected });
        }
    }

    /// Takes a corrected copy: its rows stand among those that the corrected file has of their
    /// records.
    fn take_correction(
        &mut self,
        rank: &Rank,
        drop: &Drop,
        rows: &[Row],
        inbox: &BTreeMap<String, Vec<u8>>,
        rules: &Rules,
        counts: &mut Counts,
    ) {
        let stem_of = stem(&drop.path);
        let is_delta = rules.deltas.contains(&drop.feed);
        let export = self.rejected.iter().rev().find(|file| stem(&file.rank.1) == stem_of).cloned();
        let numbers: BTreeSet<u64> = rows.iter().filter_map(|row| row.corrects).collect();
        let left: Vec<Option<String>> = export
            .iter()
            .flat_map(|export| {
                let open = export.open.iter().filter(|number| !numbers.contains(number));
                open.map(|number| export.rejects[number].clone())
            })
            .collect();
        let is_in_part = export.is_none() || left.contains(&None);
        let mut records: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        rows.iter().for_each(|row| {
            records.entry(row.key.clone().expect("it was typed in")).or_default().push(row);
        });
        for (key, own) in &records {
            let reject =
                |row: &&Row| export.as_ref().and_then(|export| export.rejects.get(&row.corrects?));
            let is_joined = own
                .iter()
                .any(|row| reject(row).is_some_and(|record| record.as_ref() != Some(key)));
            let is_strange = own.iter().any(|row| reject(row).is_none());
            let readable =
                export.as_ref().filter(|export| inbox.get(&export.rank.1) == Some(&export.bytes));
            let mut columns = columns_of(rows);
            let mut by_number: BTreeMap<u64, &Row> = BTreeMap::new();
            if let Some(export) = readable.filter(|_| is_joined) {
                columns.extend(columns_of(&export.rows));
                let of_key =
                    || (1..).zip(&export.rows).filter(|(_, row)| row.key.as_ref() == Some(key));
                if of_key().all(|(_, row)| !row.is_broken) {
                    by_number.extend(of_key());
                }
                let earlier =
                    export.corrected.iter().filter(|(_, row)| row.key.as_ref() == Some(key));
                by_number.extend(earlier.map(|(&number, row)| (number, row)));
            }
            by_number.extend(own.iter().map(|row| (row.corrects.expect("it has one"), *row)));
            let all: Vec<&Row> = by_number.into_values().collect();
            let keeps = is_in_part
                || is_strange
                || left.contains(&Some(key.clone()))
                || (is_joined && readable.is_none());
            let by_export = export.as_ref().filter(|_| is_joined).map(|export| &export.rank);
            let is_late = !is_delta
                && by_export
                    .is_some_and(|by| self.newest.as_ref().is_some_and(|newest| newest > by));
            let deletes = rules.deletes.get(&drop.feed).copied().filter(|_| !is_delta);
            let correction = Some(Joined { corrects: &stem_of, by_export });
            let precedence = Precedence { is_delta, is_late, deletes, rank, correction };
            counts.duplicate +=
                duplicates(drop.feed, &all, |row| rows.iter().any(|own| std::ptr::eq(own, row)));
            self.take_record(
                drop.feed,
                key,
                Lines { rows: &all, columns: &columns, keeps },
                precedence,
                counts,
            );
        }
        counts.accepted = counts.read - counts.duplicate;
        for file in self.rejected.iter_mut().filter(|file| stem(&file.rank.1) == stem_of) {
            file.open.retain(|number| !numbers.contains(number));
        }
        if let Some(export) =
            self.rejected.iter_mut().rev().find(|file| stem(&file.rank.1) == stem_of)
        {
            let known = rows
                .iter()
                .filter(|row| export.rejects.contains_key(&row.corrects.expect("it has one")));
            let known: Vec<(u64, Row)> =
                known.map(|row| (row.corrects.expect("it has one"), row.clone())).collect();
            export.corrected.extend(known);
        }
    }

    fn take_record(
        &mut self,
        feed: Feed,
        key: &str,
        file: Lines<'_>,
        precedence: Precedence<'_>,
        counts: &mut Counts,
    ) {
        let Precedence { is_delta, is_late, deletes, rank, correction } = precedence;
        let rows = file.rows;
        let lines = line_rows(feed, rows);
        let stored = self.records.get(key);
        let is_stale = match stored {
            // A newer export does not mention it.
            None if correction.is_some() => is_late && deletes.is_some(),
            None => is_late && deletes == Some(Deletes::Remove),
            Some(record) if is_delta => match correction {
                None => record.by > *rank,
                Some(Joined { corrects, by_export }) => {
                    record.corrects.as_deref() != Some(corrects)
                        && by_export.is_some_and(|by| record.by > *by)
                }
            },
            Some(_) => is_late,
        };
        if is_stale {
            counts.stale += 1 + lines.len() as u64;
            return;
        }
        let before = stored.cloned();
        let old_lines = before.as_ref().map_or(&[][..], |record| &record.lines);
        let keeps = file.keeps && feed != Feed::Customers && before.is_some();
        let places = match keeps {
            true => places(feed, &lines, file.columns, old_lines),
            false => (0..lines.len()).collect(),
        };
        let line_count = places
            .iter()
            .map(|place| place + 1)
            .chain(keeps.then_some(old_lines.len()))
            .max()
            .unwrap_or(0);
        let header =
            header(feed, rows, line_count, before.as_ref().map(|record| &record.header), keeps);
        let mut new_lines: Vec<Stored> = old_lines.iter().take(line_count).cloned().collect();
        new_lines.resize(line_count, Stored::default());
        for (row, &place) in lines.iter().zip(&places) {
            new_lines[place] = owned(feed, &[row], true, old_lines.get(place), false);
        }
        let was_marked = before.as_ref().is_some_and(|record| record.is_marked);
        match before.as_ref().map(|record| &record.header) {
            Some(before) if was_marked && *before == header => counts.modified += 1,
            before => counts.compare(before, &header),
        }
        for &place in &places {
            counts.compare(old_lines.get(place), &new_lines[place]);
        }
        counts.deleted += old_lines.len().saturating_sub(new_lines.len()) as u64;
        let is_marked = is_late && deletes == Some(Deletes::Mark);
        let corrects = correction.map(|correction| correction.corrects.to_owned());
        self.records.insert(
            key.to_owned(),
            Record { header, lines: new_lines, by: rank.clone(), corrects, is_marked },
        );
    }

    /// Records that a file does not mention.
    fn unmentioned(&self, mentioned: &BTreeSet<String>) -> Vec<String> {
        let live = self.records.iter().filter(|(_, record)| !record.is_marked).map(|(key, _)| key);
        live.filter(|key| !mentioned.contains(*key)).cloned().collect()
    }

    fn delete(&mut self, keys: &[String], deletes: Deletes, counts: &mut Counts) {
        for key in keys {
            let record = self.records.get_mut(key).expect("it is stored");
            counts.deleted += 1;
            record.is_marked = true;
            if deletes == Deletes::Remove {
                counts.deleted += record.lines.len() as u64;
                self.records.remove(key);
            }
        }
    }
}

/// What a record of a file may do to a stored one.
#[derive(Clone, Copy)]
struct Precedence<'a> {
    is_delta: bool,
    /// Whether a newer full export is there.
    is_late: bool,
    deletes: Option<Deletes>,
    rank: &'a Rank,
    correction: Option<Joined<'a>>,
}

/// Of a record in a corrected copy: what is corrected, and the file that has its other rows.
#[derive(Clone, Copy)]
struct Joined<'a> {
    corrects: &'a str,
    by_export: Option<&'a Rank>,
}

/// The rows of one record in a file.
#[derive(Clone, Copy)]
struct Lines<'a> {
    rows: &'a [&'a Row],
    /// Columns of the file.
    columns: &'a BTreeSet<&'static str>,
    /// Whether some may be missing, so that stored lines stay.
    keeps: bool,
}

impl Counts {
    fn compare(&mut self, before: Option<&Stored>, after: &Stored) {
        match before {
            None => self.new += 1,
            Some(before) if before == after => self.unchanged += 1,
            Some(_) => self.modified += 1,
        }
    }
}
