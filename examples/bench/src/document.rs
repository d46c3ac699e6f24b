//! The file that servers send, in a temporary directory of its own. The directory also holds the configurations of servers
//! that are programs of their own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::load::pattern::{LONGEST, Pattern};

/// The directories that have not been removed.
static DIRECTORIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The file. The drop removes the file and its directory.
pub struct Document {
    directory: PathBuf,
    path: PathBuf,
}

impl Document {
    /// Creates a file with the first `length` bytes of the pattern.
    pub fn create(length: usize, pattern: &Pattern) -> io::Result<Self> {
        let name = format!("tidegate-bench-{}-{length}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let mut directories = DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner);
        // The call fails if the directory exists, so the benchmark never removes files of another program.
        fs::create_dir(&directory)?;
        directories.push(directory.clone());
        drop(directories);
        let document = Self { path: directory.join("file"), directory };
        let mut file = File::create(&document.path)?;
        for position in (0..length).step_by(LONGEST) {
            file.write_all(pattern.at(position as u64, LONGEST.min(length - position)))?;
        }
        Ok(document)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the file at an HTTP server whose root is the directory. The path needs no escapes.
    pub fn path_at_server(path: &Path) -> String {
        format!("/{}", path.file_name().unwrap_or_default().to_string_lossy())
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        DIRECTORIES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|directory| *directory != self.directory);
        remove(&self.directory);
    }
}

/// Removes all directories, for a process that ends without dropping its values.
pub fn remove_all() {
    let mut directories = DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner);
    directories.drain(..).for_each(|directory| remove(&directory));
}

fn remove(directory: &Path) {
    // A directory that cannot be removed stays, like the temporary files of any program that is killed.
    let _ = fs::remove_dir_all(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_contains_the_pattern_and_the_drop_removes_the_file() {
        let pattern = Pattern::new();
        let length = LONGEST + 1001;
        let document = Document::create(length, &pattern).unwrap();
        let found = fs::read(document.path()).unwrap();
        assert_eq!(found.len(), length);
        assert_eq!(found[..LONGEST], *pattern.at(0, LONGEST));
        assert_eq!(found[LONGEST..], *pattern.at(LONGEST as u64, 1001));
        let directory = document.path().parent().unwrap().to_owned();
        assert!(Document::create(length, &pattern).is_err(), "the directory exists");
        assert!(directory.exists());
        drop(document);
        assert!(!directory.exists());
    }
}
