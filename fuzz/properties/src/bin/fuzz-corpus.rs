//! Writes libFuzzer's seeds of every target into `DIR/TARGET/`, and its dictionary into `DIR/tokens.dict`.

use std::fs;
use std::io;
use std::path::Path;

use infertally_fuzz::TARGETS;
use infertally_fuzz::corpus::seeds;
use infertally_fuzz::mutation::TOKENS;

fn main() -> io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1) else {
        return Err(io::Error::other("usage: fuzz-corpus DIR"));
    };
    let dir = Path::new(&dir);
    for target in TARGETS {
        let seeds = seeds(target.name)?;
        let target_dir = dir.join(target.name);
        fs::create_dir_all(&target_dir)?;
        for seed in &seeds {
            fs::write(target_dir.join(&seed.name), &seed.input)?;
        }
        println!("fuzz: {}: {} seeds", target.name, seeds.len());
    }
    fs::write(dir.join("tokens.dict"), dictionary())
}

/// libFuzzer's format: one quoted token per line, bytes outside printable ASCII in hexadecimal.
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
