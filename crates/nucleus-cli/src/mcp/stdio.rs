//! Bytes between the client and the door, unchanged: framing, limits and judgement are the door's.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// Copies both directions on threads of their own. The end of the client's is the end of what is sent to the door.
///
/// # Errors
/// No descriptors or threads are left.
pub(crate) fn relay(door: &UnixStream) -> io::Result<()> {
    let (to_door, from_door) = (door.try_clone()?, door.try_clone()?);
    std::thread::Builder::new().name("from-client".to_owned()).spawn(move || {
        let _broken = copy(&mut io::stdin().lock(), &mut &to_door);
        // A door that is closed already needs no end.
        let _closed = to_door.shutdown(Shutdown::Write);
    })?;
    std::thread::Builder::new().name("to-client".to_owned()).spawn(move || {
        if copy(&mut &from_door, &mut io::stdout().lock()).is_err() {
            // Nobody reads the answers: the client has left.
            let _closed = from_door.shutdown(Shutdown::Write);
            let _drained = io::copy(&mut &from_door, &mut io::sink());
        }
    })?;
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        to.flush()?;
    }
}
