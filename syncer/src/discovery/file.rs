//! Targets from a file, one per line, which is re-read when it changes.
//!
//! ```text
//! # a comment
//! pod-a=http://10.0.0.1:8000
//! http://10.0.0.2:8000
//! ```
//! A file that cannot be read, or with one invalid line, changes nothing: part of a pool would be worse than an old one.
//! Nor does a file that is being written.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Sender;

use crate::error::error_chain;
use crate::file::{FileWatcher, Reload};
use crate::target::{self, Discovered, Target, TargetError};

/// Room for ten thousand targets of 400 bytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Why the file is invalid.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("targets file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A line is not a target.
    #[error("targets file {path}, line {line}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// Why.
        #[source]
        source: TargetError,
    },
    /// The targets do not form a pool.
    #[error("targets file {path}")]
    Targets {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TargetError,
    },
}

/// Sends the file's targets, again whenever they change, until the receiver is dropped.
pub async fn watch(path: PathBuf, reload: Reload, out: Sender<Discovered>) {
    let mut file = FileWatcher::new(path, MAX_BYTES, reload);
    loop {
        let content = tokio::select! {
            content = file.changed() => content,
            () = out.closed() => return,
        };
        let discovered = match read(content, file.path()) {
            Ok(targets) => Discovered::Targets(targets),
            Err(error) => Discovered::Failing {
                why: error_chain(&error),
            },
        };
        if out.send(discovered).await.is_err() {
            return;
        }
    }
}

fn read(content: io::Result<Vec<u8>>, path: &Path) -> Result<Vec<Target>, FileError> {
    let text = content.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    let text = text.map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, path)
}

/// Parses the content of the file. `path` is for the error.
///
/// # Errors
/// If one line is not a target, or the targets do not form a pool.
pub fn parse(text: &str, path: &Path) -> Result<Vec<Target>, FileError> {
    let targets = text
        .lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| {
            line.parse().map_err(|source| FileError::Line {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect::<Result<Vec<Target>, _>>()?;
    target::check(&targets).map_err(|source| FileError::Targets {
        path: path.to_owned(),
        source,
    })?;
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        let targets = parse("# all\n\n a=http://h:1 \r\n\thttp://h:2\n#b=http://h:3", Path::new("f")).unwrap();
        let names: Vec<_> = targets.iter().map(|target| &*target.name).collect();
        assert_eq!(names, ["a", "h:2"]);
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number() {
        let error = parse("a=http://h:1\n\nb=h", Path::new("f")).unwrap_err();
        assert_eq!(
            error_chain(&error),
            "targets file f, line 3: invalid target \"b=h\": not an http:// or https:// URL"
        );
        let error = parse("a=http://h:1\na=http://h:2", Path::new("f")).unwrap_err();
        assert_eq!(
            error_chain(&error),
            "targets file f: duplicate target \"a\": two targets have this name"
        );
    }

    #[tokio::test]
    async fn a_changed_file_is_re_read_and_an_invalid_one_is_reported() {
        let path = std::env::temp_dir().join(format!("infertally-targets-{}", std::process::id()));
        let (out, mut discovered) = mpsc::channel(1);
        let watching = tokio::spawn(watch(path.clone(), Reload::default(), out));
        let failing = discovered.recv().await.unwrap();
        assert!(
            matches!(&failing, Discovered::Failing { why } if why.contains("cannot be read")),
            "{failing:?}"
        );
        for names in [vec!["a"], vec!["a", "b"], vec![]] {
            let text: String = names.iter().map(|name| format!("{name}=http://h:1\n")).collect();
            std::fs::write(path.with_extension("new"), text).unwrap();
            std::fs::rename(path.with_extension("new"), &path).unwrap();
            let Discovered::Targets(targets) = discovered.recv().await.unwrap() else {
                panic!("the file is valid")
            };
            assert_eq!(targets.iter().map(|target| &*target.name).collect::<Vec<_>>(), names);
        }
        std::fs::write(&path, [0xff, b'\n']).unwrap();
        assert!(matches!(discovered.recv().await.unwrap(), Discovered::Failing { .. }));
        drop(discovered);
        watching.await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
