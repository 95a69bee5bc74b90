//! A model server that costs next to nothing: a thread for each connection, and answers that were made before.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use infertally_harness::Result;
use infertally_harness::envoy::loopback;

use crate::cost::now;
use crate::workload::{Answer, SELECT};

/// Answers by the name of their workload.
type Answers = HashMap<&'static str, Answer>;

/// Starts it; it lives as long as the process.
pub(crate) fn start(answers: Answers) -> Result<SocketAddr> {
    let listener = TcpListener::bind(loopback(0))?;
    let address = listener.local_addr()?;
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // An error here is an answer that does not come, which the client reports.
            std::thread::spawn(move || serve(connection, &answers));
        }
    });
    Ok(address)
}

fn serve(connection: TcpStream, answers: &Answers) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut to = connection.try_clone()?;
    let mut from = BufReader::with_capacity(64 * 1024, connection);
    while let Some((select, length)) = read_head(&mut from)? {
        skip(&mut from, length)?;
        let answer = answers.get(select.as_str()).ok_or("no such answer")?;
        let started = now();
        let mut due = Duration::ZERO;
        for piece in &answer.pieces {
            if let Some(gap) = answer.gap {
                // By the clock, so that a late write does not delay the ones after it.
                due += gap;
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
            to.write_all(piece)?;
        }
    }
    Ok(())
}

/// Which answer is wanted, and the length of the request's body; `None` at the connection's end.
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
        return Err("the request's body is not whole".into());
    }
    Ok(())
}
