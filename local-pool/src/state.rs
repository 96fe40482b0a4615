//! The file in which a pool outlives its process.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::pool::{Pool, PoolState};

/// The file, and which change of the pool it holds, if any.
pub struct StateFile {
    path: PathBuf,
    saved: Mutex<Option<u64>>,
}

impl StateFile {
    /// The file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> StateFile {
        StateFile { path, saved: Mutex::new(None) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no state.
    pub fn load(&self) -> Result<Option<PoolState>, String> {
        match fs::read(&self.path) {
            Ok(octets) => serde_json::from_slice(&octets).map(Some).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes what the pool holds now, unless the file holds it already. At every moment there is one whole file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn save(&self, pool: &Mutex<Pool>) -> Result<(), String> {
        // One at a time, and each with the pool as it is when its turn comes, so that no older state replaces a newer one.
        let mut saved = self.saved.lock();
        let (changes, state) = {
            let pool = pool.lock();
            if *saved == Some(pool.changes()) {
                return Ok(());
            }
            (pool.changes(), pool.to_state().map_err(|error| error.message)?)
        };
        let text = serde_json::to_vec_pretty(&state).map_err(|error| error.to_string())?;
        self.replace(&text).map_err(|error| error.to_string())?;
        *saved = Some(changes);
        Ok(())
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = self.path.with_file_name(name);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        // It holds private keys.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}
