//! Writes what libFuzzer begins with: the seeds of every target into `FOLDER/TARGET/`, and its dictionary.

use std::fs;
use std::io;
use std::path::Path;

use infertally_fuzz::TARGETS;
use infertally_fuzz::corpus::seeds;
use infertally_fuzz::mutation::TOKENS;

fn main() -> io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1) else {
        return Err(io::Error::other("usage: fuzz-corpus FOLDER"));
    };
    let folder = Path::new(&folder);
    for target in TARGETS {
        let seeds = seeds(target.name)?;
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for seed in &seeds {
            fs::write(folder.join(&seed.name), &seed.input)?;
        }
        println!("fuzz: {}: {} seeds", target.name, seeds.len());
    }
    fs::write(folder.join("tokens.dict"), dictionary())
}

/// A token a line, in quotes, bytes that are no plain ASCII in hexadecimal.
fn dictionary() -> String {
    let mut lines = String::new();
    for token in TOKENS {
        lines.push('"');
        for byte in token.bytes() {
            match byte {
                b'"' | b'\\' => lines.extend(['\\', char::from(byte)]),
                b' '..=b'~' => lines.push(char::from(byte)),
                _ => lines.push_str(&format!("\\x{byte:02x}")),
            }
        }
        lines.push_str("\"\n");
    }
    lines
}
