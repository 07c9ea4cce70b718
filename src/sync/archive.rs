//! Archive: keeps, archives or deletes a file once its rows are committed. Files are moved and
//! removed relative to opened folders, so that no link leads out of the inbox or the archive.

use crate::config::{AfterSync, Config};
use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::process::modes::{FILE_MODE, folder_mode, make_folders};
use crate::sink::ledger::file_state::FileState;
use crate::source::find::beneath;
use crate::source::find::beneath::Entry;
use crate::source::find::path_text::path_text;
use crate::source::find::scan::{SourceFile, is_wanted_member};
use crate::source::find::zipped::{list, member_of, stamp_at};
use crate::sync::session::Session;
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fstat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Maximum number of archived versions of a file that are searched for one content.
const ARCHIVED_MAX: usize = 1000;

/// Keeps, archives or deletes a synced file, as configured. A file that has changed since stays. A
/// file that cannot be moved stays too, with only a line in the log, because its rows are in the
/// tables. A .zip archive goes when its last member is synced.
///
/// # Errors
///
/// When the database cannot say whether all members are synced.
pub async fn put_away(session: &Session, source_file: &SourceFile) -> Result<(), SyncError> {
    fail::fail_point!("before_put_away");
    if session.config.after_sync == AfterSync::Keep {
        return Ok(());
    }
    let Some((archive, _)) = member_of(&source_file.root, &source_file.path) else {
        put_file_away(&session.config, source_file);
        return Ok(());
    };
    let (root, limits) = (&source_file.root, &session.config.limits);
    let Ok(Some(stamp)) = stamp_at(root, &archive, limits) else { return Ok(()) };
    let whole = SourceFile { path: archive, stamp, ..source_file.clone() };
    if has_changed(source_file, stamp) || !all_synced(session, &whole).await? {
        return Ok(());
    }
    put_file_away(&session.config, &whole);
    Ok(())
}

/// Whether an archive is another one than that of the member.
fn has_changed(member: &SourceFile, archive: Stamp) -> bool {
    Stamp { size_bytes: member.stamp.size_bytes, ..archive } != member.stamp
}

/// Whether every member of an archive is synced as it is there.
async fn all_synced(session: &Session, archive: &SourceFile) -> Result<bool, SyncError> {
    let limits = &session.config.limits;
    let Ok(listing) = list(&archive.root, &archive.path, archive.stamp, limits) else {
        return Ok(false);
    };
    if listing.refusal.is_some() || listing.unread.is_some() {
        return Ok(false);
    }
    let members = listing.members.iter().filter(|member| is_wanted_member(&member.name));
    let members: Vec<(String, Stamp)> = members
        .map(|member| {
            let stamp = Stamp { size_bytes: member.size_bytes, ..archive.stamp };
            (path_text(&archive.path.join(&member.name)), stamp)
        })
        .collect();
    let paths = members.iter().map(|(path, _)| path.clone()).collect();
    let known = session.sink.ledger.newest_files_at(paths).await?;
    Ok(members.iter().all(|(path, stamp)| {
        known.get(path).is_some_and(|file| file.state == FileState::Synced && file.stamp == *stamp)
    }))
}

fn put_file_away(config: &Config, source_file: &SourceFile) {
    let put_away = match config.after_sync {
        AfterSync::Keep => Ok(()),
        AfterSync::Delete => delete(source_file),
        AfterSync::Archive => archive(config, source_file),
    };
    if let Err(error) = put_away {
        let error = SyncError::state(&source_file.path, error);
        tracing::error!(path = source_file.path_text(), reason = %error, "file stays in the inbox");
    }
}

fn delete(source_file: &SourceFile) -> io::Result<()> {
    let Some(entry) = unchanged(source_file) else { return Ok(()) };
    Ok(unlinkat(&entry.folder, entry.name, AtFlags::empty())?)
}

fn archive(config: &Config, source_file: &SourceFile) -> io::Result<()> {
    let Some(entry) = unchanged(source_file) else { return Ok(()) };
    make_folders(&config.archive_dir)?;
    let below = source_file
        .path
        .strip_prefix(&config.inbox)
        .ok()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let archive = beneath::open_folder(&config.archive_dir, &config.archive_dir)?;
    let folder = beneath::make_folders(archive, below, folder_mode())?;
    for name in names(entry.name) {
        match move_file(source_file, &entry, &folder, &name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            moved => return moved,
        }
    }
    Ok(())
}

/// Opens the file's folder, if the file still has the synced content.
fn unchanged(source_file: &SourceFile) -> Option<Entry<'_>> {
    let entry = Entry::of(&source_file.root, &source_file.path).ok()?;
    entry.stat().is_ok_and(|stat| Stamp::of(&stat) == source_file.stamp).then_some(entry)
}

/// The name, followed by `.1`, `.2`, … if an earlier version of the file already has it.
fn names(name: &OsStr) -> impl Iterator<Item = OsString> {
    let numbered = |number: u32| {
        let mut numbered = name.to_owned();
        numbered.push(format!(".{number}"));
        numbered
    };
    std::iter::once(name.to_owned()).chain((1..).map(numbered))
}

fn move_file(
    source_file: &SourceFile,
    from: &Entry<'_>,
    folder: &OwnedFd,
    name: &OsStr,
) -> io::Result<()> {
    let renamed = renameat_with(&from.folder, from.name, folder, name, RenameFlags::NOREPLACE);
    let renamed = match renamed {
        // Some file systems cannot do this in one step.
        Err(Errno::INVAL | Errno::NOSYS) => match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => renameat(&from.folder, from.name, folder, name),
            Err(error) => Err(error),
            Ok(_) => Err(Errno::EXIST),
        },
        renamed => renamed,
    };
    match renamed {
        // The archive may be on another file system.
        Err(Errno::XDEV) => copy(source_file, from, folder, name),
        Err(error) => Err(error.into()),
        Ok(()) => {
            let archived = openat(
                folder,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            // Only the owner may set this; the archive's folder is closed to others anyway.
            let _ = fchmod(archived, Mode::from_bits_truncate(FILE_MODE));
            Ok(())
        }
    }
}

fn copy(
    source_file: &SourceFile,
    from: &Entry<'_>,
    folder: &OwnedFd,
    name: &OsStr,
) -> io::Result<()> {
    let mut source = beneath::open_file(&source_file.root, &source_file.path)?;
    if Stamp::of(&fstat(&source)?) != source_file.stamp {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut target = File::from(openat(folder, name, flags, Mode::from_bits_truncate(FILE_MODE))?);
    let copied = io::copy(&mut source, &mut target).and_then(|_| target.sync_all());
    if let Err(error) = copied {
        // Remove the incomplete copy, so that it is not taken for an archived file.
        let _ = unlinkat(folder, name, AtFlags::empty());
        return Err(error);
    }
    match from.stat().is_ok_and(|stat| Stamp::of(&stat) == source_file.stamp) {
        true => Ok(unlinkat(&from.folder, from.name, AtFlags::empty())?),
        false => Ok(()),
    }
}

/// Paths in the archive where archived versions of a file may be.
pub fn archived(config: &Config, path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let below =
        path.strip_prefix(&config.inbox).ok().and_then(Path::parent).unwrap_or(Path::new(""));
    let folder = config.archive_dir.join(below);
    let names: Vec<OsString> =
        names(path.file_name().unwrap_or_default()).take(ARCHIVED_MAX).collect();
    names.into_iter().map(move |name| folder.join(name)).take_while(|path| path.exists())
}
