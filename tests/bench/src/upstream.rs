//! A model server that costs almost nothing: a thread per connection, and prepared responses.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use infertally_harness::Result;
use infertally_harness::envoy::loopback;

use crate::cost::now;
use crate::workload::{Response, SELECT};

/// Size of a connection's read buffer. There may be ten thousand.
const READ_BYTES: usize = 16 * 1024;
/// Of a connection's thread.
const STACK_BYTES: usize = 128 * 1024;

/// Responses by the name of their workload.
type Responses = HashMap<String, Response>;

/// Starts the server; it runs as long as the process.
pub(crate) fn start(responses: Responses) -> Result<SocketAddr> {
    let listener = TcpListener::bind(loopback(0))?;
    let address = listener.local_addr()?;
    let responses = Arc::new(responses);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = connection?;
            let responses = Arc::clone(&responses);
            // The client reports the missing response.
            std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || serve(&connection, &responses))?;
        }
        Ok::<_, std::io::Error>(())
    });
    Ok(address)
}

fn serve(connection: &TcpStream, responses: &Responses) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut to = connection;
    let mut from = BufReader::with_capacity(READ_BYTES, connection);
    while let Some((select, length)) = read_head(&mut from)? {
        skip(&mut from, length)?;
        let response = responses.get(select.as_str()).ok_or("unknown workload")?;
        let started = now();
        let mut due = Duration::ZERO;
        for piece in &response.pieces {
            if let Some(gap) = response.gap {
                // Relative to the start, so that a late write does not delay the following ones.
                due += gap;
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
            to.write_all(piece)?;
        }
        if response.hangs {
            std::io::copy(&mut from, &mut std::io::sink())?;
            return Ok(());
        }
    }
    Ok(())
}

/// Returns the requested workload and the length of the request's body; `None` at the end of the connection.
fn read_head(from: &mut impl BufRead) -> Result<Option<(String, usize)>> {
    let (mut select, mut length) = (String::new(), 0);
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(": ") {
            Some((SELECT, value)) => select = value.to_owned(),
            Some(("content-length", value)) => length = value.parse()?,
            Some(_) => {}
            None if line == "\r\n" => return Ok(Some((select, length))),
            None => {}
        }
    }
}

fn skip(from: &mut impl BufRead, length: usize) -> Result<()> {
    let skipped = std::io::copy(&mut from.take(length as u64), &mut std::io::sink())?;
    if skipped < length as u64 {
        return Err("the body of the request is truncated".into());
    }
    Ok(())
}
