//! Zipped: the members of a .zip archive as files of their own. Their paths go through the archive
//! as through a folder: `archive.zip/member.csv`. Nothing is ever written under such a name.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::process::progress::moved;
use crate::source::find::beneath::{Entry, is_astray, open_file};
use crate::source::text::content::BLOCK_BYTES;
use crate::source::text::spool::{Spool, Spooled};
use crate::source::zip_directory::{Bounded, open_zip};
use rustix::fs::{FileType, fstat};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

/// Archives whose lists are remembered, so that no scan reads them again, as the number of their
/// members together.
const REMEMBERED_MAX: usize = 100_000;

/// Longest name of a member: paths of Linux have at most so many bytes.
const NAME_BYTES_MAX: usize = 4096;

/// Names that are told of those that are not read: enough to see what they have in common.
const TOLD_MAX: usize = 5;

/// Size from which the ratio is looked at: less is no danger.
const RATIO_BYTES_MIN: u64 = 16 << 20;

type Archive = ZipArchive<Bounded<BufReader<File>>>;

/// A member that may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, a relative path.
    pub name: String,
    /// Its size, as the archive says.
    pub size_bytes: u64,
}

impl Member {
    /// Whether it is an archive itself.
    pub fn is_zip(&self) -> bool {
        is_zip(Path::new(&self.name))
    }
}

/// What an archive has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Members that may be taken.
    pub members: Vec<Member>,
    /// Why none of them is, if none is.
    pub refusal: Option<String>,
    /// Which other members are not read, and why.
    pub unread: Option<String>,
}

/// Whether a name is one of an archive.
pub fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// The archive that a path goes through, and the name of the member. `None` for other paths: a
/// folder may be called `orders.zip` too.
pub fn member_of<'p>(root: &Path, path: &'p Path) -> Option<(PathBuf, &'p str)> {
    let below = path.strip_prefix(root).ok()?;
    let mut archive = root.to_owned();
    let mut components = below.components();
    while let Some(component) = components.next() {
        let name = components.as_path();
        archive.push(component);
        if name.as_os_str().is_empty() {
            return None;
        }
        if is_zip(Path::new(&component)) && stat(root, &archive).is_ok_and(|(_, is_file)| is_file) {
            return Some((archive, name.to_str()?));
        }
    }
    None
}

/// The path of a file without the archives on its way: where it would lie, had its archive been
/// unpacked. It says what the file belongs to.
pub fn unpacked_path(root: &Path, path: &Path) -> PathBuf {
    match member_of(root, path) {
        None => path.to_owned(),
        Some((archive, name)) => archive.parent().unwrap_or(root).join(name),
    }
}

/// The folder that a named file lies in on the disk: that of its archive, if it has one.
pub fn folder_of(path: &Path) -> PathBuf {
    let place = member_of(Path::new("/"), path).map(|(archive, _)| archive);
    let place = place.as_deref().unwrap_or(path);
    place.parent().unwrap_or(place).to_owned()
}

/// A path of a command line without links on its way; it may go through an archive.
///
/// # Errors
///
/// When it leads nowhere.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    let error = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => error,
        real => return real,
    };
    let mut ancestors = path.ancestors().skip(1);
    let archive = ancestors.find(|ancestor| is_zip(ancestor) && ancestor.is_file());
    let Some(archive) = archive else { return Err(error) };
    let name = path.strip_prefix(archive).map_err(io::Error::other)?;
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain { Ok(archive.canonicalize()?.join(name)) } else { Err(error) }
}

/// What a file or member looks like, if it is an ordinary one. A member has the times of its
/// archive, which it changes with.
///
/// # Errors
///
/// When it is gone, or cannot be reached.
pub fn stamp_at(root: &Path, path: &Path, limits: &Limits) -> io::Result<Option<Stamp>> {
    let Some((archive, name)) = member_of(root, path) else {
        let (stamp, is_file) = stat(root, path)?;
        return Ok(is_file.then_some(stamp));
    };
    let (stamp, _) = stat(root, &archive)?;
    let listing = list(root, &archive, stamp, limits)?;
    let member = listing.members.iter().find(|member| member.name == name);
    let member = member.ok_or(io::ErrorKind::NotFound)?;
    Ok(Some(Stamp { size_bytes: member.size_bytes, ..stamp }))
}

fn stat(root: &Path, path: &Path) -> io::Result<(Stamp, bool)> {
    let stat = Entry::of(root, path)?.stat()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok((Stamp::of(&stat), is_file))
}

/// The members of an archive that looks like this.
///
/// # Errors
///
/// When it cannot be opened. What is wrong with its content is in the list.
pub fn list(
    root: &Path,
    archive: &Path,
    stamp: Stamp,
    limits: &Limits,
) -> io::Result<Arc<Listing>> {
    type Remembered = HashMap<PathBuf, (Stamp, Arc<Listing>)>;
    static REMEMBERED: Mutex<Option<Remembered>> = Mutex::new(None);
    let remembered = || REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, listing)) = remembered().get_or_insert_default().get(archive)
        && *known == stamp
    {
        return Ok(Arc::clone(listing));
    }
    let listing = Arc::new(listed(open_file(root, archive)?, stamp.size_bytes, limits));
    let mut remembered = remembered();
    let archives = remembered.get_or_insert_default();
    let members: usize = archives.values().map(|(_, listing)| listing.members.len() + 1).sum();
    if members + listing.members.len() > REMEMBERED_MAX {
        archives.clear();
    }
    archives.insert(archive.to_owned(), (stamp, Arc::clone(&listing)));
    Ok(listing)
}

fn listed(file: File, size_bytes: u64, limits: &Limits) -> Listing {
    let refused = |reason: String| Listing { refusal: Some(reason), ..Listing::default() };
    let archive = match open_zip(BufReader::new(file)) {
        Ok(archive) => archive,
        Err(error) => return refused(format!("{DAMAGED}: {error}")),
    };
    if archive.has_duplicate_names() {
        return refused(
            "two of its members have the same name, so nobody can tell which one is meant: pack it anew".to_owned(),
        );
    }
    if archive.len() > limits.zip_members_max {
        return refused(format!(
            "it has {} members, and zip_members_max allows {}",
            archive.len(),
            limits.zip_members_max
        ));
    }
    let mut listing = Listing::default();
    let (mut unread, mut unread_count, mut unpacked_bytes) = (Vec::new(), 0_usize, 0_u64);
    for index in 0..archive.len() {
        let Ok(entry) = archive.by_index_data(index) else { continue };
        unpacked_bytes = unpacked_bytes.saturating_add(entry.size());
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().ok().filter(|name| is_safe(name) && !entry.is_symlink());
        match name {
            Some(name) => {
                listing.members.push(Member { name: name.into_owned(), size_bytes: entry.size() });
            }
            None => {
                unread_count += 1;
                if unread.len() < TOLD_MAX {
                    unread.push(format!("`{}`", entry.name_raw().escape_ascii()));
                }
            }
        }
    }
    if unpacked_bytes > RATIO_BYTES_MIN && unpacked_bytes / limits.zip_ratio_max > size_bytes {
        return refused(format!(
            "it unpacks to {unpacked_bytes} bytes, and zip_ratio_max allows {} times its size ({size_bytes})",
            limits.zip_ratio_max
        ));
    }
    let mut names: Vec<&str> = listing.members.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return refused(
            "two of its members have the same name once it is read: pack it anew".to_owned(),
        );
    }
    if unread_count > 0 {
        let and_more = if unread_count > unread.len() { ", …" } else { "" };
        listing.unread = Some(format!(
            "{unread_count} of its members are not read, because their names are empty or absolute, hold `..`, `\\` or control \
             characters, or are links: {}{and_more}; pack it anew with plain names",
            unread.join(", ")
        ));
    } else if listing.members.is_empty() {
        listing.unread = Some("it has no members".to_owned());
    }
    listing
}

/// What the reason of a damaged archive begins with.
const DAMAGED: &str = "it is damaged, truncated, or no .zip archive";

/// Whether a name is a relative path that leads nowhere else.
fn is_safe(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    name.len() <= NAME_BYTES_MAX
        && !name.contains(|c: char| c == '\\' || c.is_control())
        && name.split('/').all(is_part)
}

/// Unpacks a member: its bytes, its archive, and what that looks like.
///
/// # Errors
///
/// [`SyncError::Damaged`] when the member is damaged, encrypted, or larger than a limit; else when
/// the archive cannot be read.
pub fn unpack(
    root: &Path,
    path: &Path,
    archive_path: &Path,
    name: &str,
    limits: &Limits,
) -> Result<(Spooled, File, Stamp), SyncError> {
    let file = open_archive(root, path, archive_path)?;
    let stat = fstat(&file).map_err(|error| SyncError::read(path, error.into()))?;
    let stamp = Stamp::of(&stat);
    if stamp.size_bytes > limits.file_bytes_max {
        return Err(SyncError::damaged(format!(
            "its archive has {} bytes, which is more than file_bytes_max allows ({})",
            stamp.size_bytes, limits.file_bytes_max
        )));
    }
    let own = file.try_clone().map_err(|error| SyncError::read(path, error))?;
    let mut archive = open_zip(BufReader::new(file))
        .map_err(|error| SyncError::damaged(format!("its archive is damaged: {error}")))?;
    let mut member = member(&mut archive, name)?;
    let size_bytes = member.size();
    if size_bytes > limits.decompressed_bytes_max {
        return Err(SyncError::damaged(format!(
            "it unpacks to {size_bytes} bytes, which is more than decompressed_bytes_max allows ({})",
            limits.decompressed_bytes_max
        )));
    }
    let mut spool = Spool::new(&limits.spool_dir, limits.content_bytes_max);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        moved();
        let read = member.read(&mut block).map_err(|error| damaged_member(&error))?;
        if read == 0 {
            break;
        }
        spool.write(&block[..read])?;
        if spool.size_bytes() > size_bytes {
            return Err(damaged_member(&io::Error::other("it is longer than its archive says")));
        }
    }
    if spool.size_bytes() < size_bytes {
        return Err(damaged_member(&io::Error::other("it is shorter than its archive says")));
    }
    Ok((spool.finish()?, own, stamp))
}

fn damaged_member(error: &io::Error) -> SyncError {
    SyncError::damaged(format!("it is damaged in its archive, and cannot be unpacked: {error}"))
}

fn open_archive(root: &Path, path: &Path, archive_path: &Path) -> Result<File, SyncError> {
    open_file(root, archive_path).map_err(|error| match is_astray(&error) {
        true => SyncError::changed_while_read(path),
        false => SyncError::read(path, error),
    })
}

fn member<'a>(
    archive: &'a mut Archive,
    name: &str,
) -> Result<ZipFile<'a, Bounded<BufReader<File>>>, SyncError> {
    let index = (0..archive.len()).find(|&index| {
        let entry = archive.by_index_data(index);
        entry.is_ok_and(|entry| entry.name().is_ok_and(|own| own == name))
    });
    let is_encrypted = index.and_then(|index| archive.by_index_data(index).ok());
    if is_encrypted.is_some_and(|entry| entry.encrypted()) {
        return Err(SyncError::damaged(
            "it is encrypted in its archive, so it cannot be read: pack it without a password",
        ));
    }
    let index =
        index.ok_or_else(|| SyncError::damaged("its archive has no such member any more"))?;
    archive.by_index(index).map_err(|error| match error {
        ZipError::UnsupportedArchive(why) => SyncError::damaged(format!(
            "it is packed in a way that is not read ({why}): pack it by deflate, as every program does"
        )),
        error => damaged_member(&error.into()),
    })
}

/// The first bytes of a member, as far as they can be read.
///
/// # Errors
///
/// When there are none.
pub fn beginning(
    root: &Path,
    archive_path: &Path,
    name: &str,
    bytes_max: u64,
) -> io::Result<Vec<u8>> {
    let file = open_file(root, archive_path)?;
    let mut archive = open_zip(BufReader::new(file))?;
    let member = member(&mut archive, name).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    let read = member.take(bytes_max).read_to_end(&mut bytes);
    if bytes.is_empty() { read.map(|_| bytes) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_safe() {
        for name in ["a.csv", "a/b c.csv", "..a/b..csv", "é/𠮷.csv"] {
            assert!(is_safe(name), "{name}");
        }
        let long = "x".repeat(5000);
        for name in
            ["", "/a", "../a", "a/../b", "a/..", "a//b", "./a", "a\\b", "a\0b", "a\nb", "a/", &long]
        {
            assert!(!is_safe(name), "{name:?}");
        }
    }

    #[test]
    fn a_path_goes_through_an_archive_and_not_through_a_folder_of_such_a_name() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        std::fs::create_dir_all(root.join("a/folder.zip")).expect("writable");
        std::fs::write(root.join("a/b.zip"), "x").expect("writable");
        let through = |path: &str| {
            let path = root.join(path);
            member_of(root, &path).map(|(archive, name)| (archive, name.to_owned()))
        };
        assert_eq!(through("a/b.zip/c/d.csv"), Some((root.join("a/b.zip"), "c/d.csv".to_owned())));
        assert_eq!(
            through("a/b.zip/c.zip/d.csv"),
            Some((root.join("a/b.zip"), "c.zip/d.csv".to_owned()))
        );
        for path in ["a/b.zip", "a/folder.zip/c.csv", "a/none.zip/c.csv", "a/c.csv"] {
            assert_eq!(through(path), None, "{path}");
        }
        assert_eq!(unpacked_path(root, &root.join("a/b.zip/c/d.csv")), root.join("a/c/d.csv"));
        assert_eq!(unpacked_path(root, &root.join("a/d.csv")), root.join("a/d.csv"));
    }
}
