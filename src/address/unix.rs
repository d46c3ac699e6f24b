//! The names of Unix sockets: a path, an abstract name, or no name.

#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt as _;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::{
    fmt, io,
    os::unix::{ffi::OsStrExt as _, net::SocketAddr},
    path::{Path, PathBuf},
};

/// The name of a Unix socket, unix(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnixName {
    Path(PathBuf),
    /// A name that is not in the file system. Linux alone has such names.
    Abstract(Box<[u8]>),
    /// The socket is bound to no name, as the sockets of most clients are.
    Unnamed,
}

impl UnixName {
    /// Reads the text behind `unix:`. The error says what is wrong with the text.
    pub(super) fn parse(text: &str) -> Result<Self, (io::ErrorKind, String)> {
        match text.strip_prefix('@') {
            Some(name) => Self::abstract_name(name.as_bytes()),
            None => Self::path(Path::new(text)),
        }
    }

    pub(super) fn path(path: &Path) -> Result<Self, (io::ErrorKind, String)> {
        let bytes = path.as_os_str().as_bytes();
        let wrong = |why: String| Err((io::ErrorKind::InvalidInput, why));
        if bytes.is_empty() {
            return wrong("the path is missing".into());
        }
        if bytes.contains(&0) {
            return wrong("the path contains a zero byte".into());
        }
        // The length is the only other reason for an error. The standard library knows the limit of each system.
        if SocketAddr::from_pathname(path).is_err() {
            return wrong(format!("the path has {} bytes, which is more than {LONGEST}", bytes.len()));
        }
        Ok(Self::Path(path.to_owned()))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn abstract_name(name: &[u8]) -> Result<Self, (io::ErrorKind, String)> {
        let wrong = |why: String| Err((io::ErrorKind::InvalidInput, why));
        if name.is_empty() {
            return wrong("the abstract name is missing".into());
        }
        if SocketAddr::from_abstract_name(name).is_err() {
            return wrong(format!(
                "the abstract name has {} bytes, which is more than {LONGEST}",
                name.len()
            ));
        }
        Ok(Self::Abstract(name.into()))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn abstract_name(_: &[u8]) -> Result<Self, (io::ErrorKind, String)> {
        Err((io::ErrorKind::Unsupported, "abstract names of Unix sockets exist on Linux alone".into()))
    }

    /// The address for a system call.
    ///
    /// # Errors
    /// `InvalidInput` if the socket has no name.
    pub(crate) fn to_std(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Path(path) => SocketAddr::from_pathname(path),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Abstract(name) => SocketAddr::from_abstract_name(name),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Self::Abstract(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Unnamed => Err(no_name()),
        }
    }

    pub(crate) fn from_std(address: &SocketAddr) -> Self {
        if let Some(path) = address.as_pathname() {
            return Self::Path(path.to_owned());
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_name() {
            return Self::Abstract(name.into());
        }
        Self::Unnamed
    }
}

/// The error for a call that needs a name.
pub(crate) fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the Unix socket has no name")
}

/// The greatest length of a name, for error texts: `sun_path` without its last zero byte.
const LONGEST: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// Without `unix:`. A name that is not printable text is written with escapes, so that it stays in one line.
impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, bytes) = match self {
            // Without the prefix, the path would be read as an abstract name.
            Self::Path(path) if path.as_os_str().as_bytes().starts_with(b"@") => {
                ("./", path.as_os_str().as_bytes())
            }
            Self::Path(path) => ("", path.as_os_str().as_bytes()),
            Self::Abstract(name) => ("@", &**name),
            Self::Unnamed => return f.write_str("(unnamed)"),
        };
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => write!(f, "{prefix}{text}"),
            _ => write!(f, "{prefix}{}", bytes.escape_ascii()),
        }
    }
}
