//! A folder as Kubernetes mounts a ConfigMap or a Secret: each file is a link into `..data`, itself a link, which is replaced
//! when the files change.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::process::folder;

/// The folder. It is removed when this is dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

// === impl Mount ===

impl Mount {
    /// Creates an empty one.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn new() -> Result<Self> {
        Ok(Self(folder("mount")?))
    }

    /// The path of a file, which need not exist.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Replaces the files as the kubelet does. `version` is a new name.
    ///
    /// # Errors
    /// The file system's.
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
