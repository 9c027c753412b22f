//! Where the control socket is, and how it is made so that nobody else can open it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

/// Name of the control socket in a data directory.
pub const SOCKET_FILE: &str = "control.sock";

/// Longest path that a socket is bound to, in bytes. A socket address takes 108 on Linux and 104
/// elsewhere, with the zero behind it.
pub const SOCKET_PATH_MAX_BYTES: usize = 100;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The path of the control socket of the data directory `data_dir`, which must exist.
///
/// It is in the directory itself where the path is short enough, and otherwise in the user's runtime
/// directory, named after a hash of the directory's canonical path.
///
/// # Errors
/// The directory cannot be reached.
pub fn socket_path(data_dir: &Path) -> io::Result<PathBuf> {
    let canonical = data_dir.canonicalize()?;
    let beside = canonical.join(SOCKET_FILE);
    if beside.as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return Ok(beside);
    }
    let hash = xxhash_rust::xxh3::xxh3_128(canonical.as_os_str().as_bytes());
    Ok(runtime_dir().join(format!("{hash:032x}.sock")))
}

/// The directory for sockets that cannot be beside their data.
fn runtime_dir() -> PathBuf {
    let short = |dir: &PathBuf| dir.is_absolute() && dir.as_os_str().len() < 50;
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(short) {
        Some(dir) => dir.join("pubsub"),
        None => PathBuf::from(format!("/tmp/pubsub-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Binds the control socket of `data_dir`, replacing one that nobody listens on.
///
/// # Errors
/// Somebody listens there, or the place is not ours to use.
pub(super) fn bind(data_dir: &Path) -> io::Result<(UnixListener, PathBuf)> {
    let path = socket_path(data_dir)?;
    if !path.ends_with(SOCKET_FILE) {
        path.parent().map_or(Ok(()), make_private)?;
    }
    remove_stale(&path)?;
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)
        .map_err(io::Error::from)?;
    // On Linux the file gets the mode of the socket, so there is no moment in which others may open
    // it; elsewhere the line after the bind closes the gap.
    let owner_only = Mode::RUSR | Mode::WUSR;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::fs::fchmod(&socket, owner_only)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
    rustix::fs::chmod(&path, owner_only)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok((listener, path))
}

/// Takes a socket away whose owner is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        let text = format!("{} is not a socket; move it away", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let text = format!("a node listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

/// Makes a directory that only this user can use, or checks that it is one.
fn make_private(dir: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    let metadata = std::fs::symlink_metadata(dir)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || !ours || metadata.permissions().mode() & 0o077 != 0 {
        let text = format!(
            "{} must be a directory that only this user can use (mode 0700); move it away",
            dir.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_can_open_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (_listener, path) = bind(dir.path()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_dead_nodes_socket_is_replaced_and_a_live_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, _) = bind(dir.path()).unwrap();
        let refused = bind(dir.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        bind(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_sockets_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::Builder::new().tempfile_in(dir.path()).unwrap();
        let kept = file.persist(dir.path().join(SOCKET_FILE)).unwrap();
        let refused = bind(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("move it away"), "{refused}");
        assert_eq!(kept.metadata().unwrap().len(), 0);
        assert!(dir.path().join(SOCKET_FILE).exists());
    }

    #[test]
    fn a_directory_with_a_long_path_has_its_socket_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let (_listener, path) = bind(&deep).unwrap();
        assert!(path.as_os_str().len() <= SOCKET_PATH_MAX_BYTES, "{path:?}");
        assert!(!path.starts_with(&deep));
        assert_eq!(socket_path(&deep).unwrap(), path);
        UnixStream::connect(&path).unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
