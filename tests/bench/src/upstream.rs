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

/// What the server reads of a request's headers.
#[derive(Debug, Default)]
struct Head {
    /// The requested workload.
    select: String,
    /// Of the body; `None` if it is chunked.
    length: Option<usize>,
}

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
    while let Some(head) = read_head(&mut from)? {
        match head.length {
            Some(length) => skip(&mut from, length)?,
            None => skip_chunks(&mut from)?,
        }
        let response = responses.get(&head.select).ok_or("unknown workload")?;
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

/// Returns `None` at the end of the connection.
fn read_head(from: &mut impl BufRead) -> Result<Option<Head>> {
    let mut head = Head::default();
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(": ") {
            Some((SELECT, value)) => head.select = value.to_owned(),
            Some(("content-length", value)) => head.length = Some(value.parse()?),
            Some(_) => {}
            None if line == "\r\n" => return Ok(Some(head)),
            None => {}
        }
    }
}

/// Skips a chunked body without trailers, to which Envoy changes the body of a request that `ext_proc` streams.
fn skip_chunks(from: &mut impl BufRead) -> Result<()> {
    loop {
        let mut size = String::new();
        from.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim_end(), 16)?;
        skip(from, size + "\r\n".len())?;
        if size == 0 {
            return Ok(());
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
