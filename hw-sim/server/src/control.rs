//! A socket for whoever tests a driver: each line names a fault that the card suffers at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::{ServeError, clear_stale};
use kiln_bus::Injector;
use kiln_sim::{Card, FaultPlan};

/// Longest line that is read. \[bytes\]
const LINE_MAX: u64 = 256;

/// Listens in a thread of its own, for as long as the process lives.
pub fn listen(path: &Path, injector: Injector<Card>) -> Result<(), ServeError> {
    clear_stale(path)?;
    let listener = UnixListener::bind(path)?;
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // One client that hangs up or writes nonsense is no matter for the next.
            let _ = obey(stream, &injector);
        }
    })?;
    Ok(())
}

fn obey(mut stream: UnixStream, injector: &Injector<Card>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if (&mut reader).take(LINE_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim().parse::<FaultPlan>() {
            Ok(plan) => {
                for (_, fault) in plan.faults() {
                    let fault = *fault;
                    injector.inject(move |card| card.suffer(fault));
                }
                writeln!(stream, "ok")?;
            }
            Err(error) => writeln!(stream, "error: {error}")?,
        }
    }
}
