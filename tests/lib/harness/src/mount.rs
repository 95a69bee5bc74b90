//! A folder as Kubernetes mounts a ConfigMap or a Secret: each file is a link into `..data`, itself a link, which is swapped
//! for a new version as a whole.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::process::folder;

/// The folder; it goes when this is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

// === impl Mount ===

impl Mount {
    /// An empty one.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn new() -> Result<Self> {
        Ok(Self(folder("mount")?))
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes these the files, as the kubelet does. `version` is a name that was not given before.
    ///
    /// # Errors
    /// Of the file system.
    pub fn mount(&self, version: &str, files: &[(&str, &str)]) -> io::Result<()> {
        let folder = self.path(&format!("..{version}"));
        std::fs::create_dir(&folder)?;
        for (name, text) in files {
            std::fs::write(folder.join(name), text)?;
        }
        let new = self.path("..data_tmp");
        symlink(folder, &new)?;
        std::fs::rename(new, self.path("..data"))?;
        for (name, _) in files {
            let link = self.path(name);
            if !link.is_symlink() {
                symlink(Path::new("..data").join(name), link)?;
            }
        }
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
