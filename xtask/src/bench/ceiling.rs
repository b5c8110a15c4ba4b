//! What the machine itself takes for what any broker has to do: writing to the disk, and sending what lies in memory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Written to the disk, and read into memory, to find the ceilings.
const BYTES: usize = 512 << 20;

/// What is written, or sent, at once.
const PIECE: usize = 1 << 20;

/// The socket is measured so often, in each way; the median counts.
const ROUNDS: usize = 5;

/// How bytes go from a file into a socket.
type Send = fn(&mut File, &mut TcpStream) -> io::Result<u64>;

/// All ceilings, as lines of text.
pub fn measure() -> Result<String, String> {
    let path = std::env::temp_dir().join("fleuve-bench-ceiling");
    let measured = lines(&path).map_err(|e| format!("{}: {e}", path.display()));
    let _ = fs::remove_file(&path);
    measured
}

fn lines(path: &Path) -> io::Result<String> {
    let disk = write_synced(path)?;
    let kernel = sending(path, io::copy)?;
    let copied = sending(path, through_memory)?;
    Ok(format!(
        "the disk alone: {disk:.0} MB/s written and synced by the MiB\n\
         a socket alone: {kernel:.2} s of the sender's CPU for a GiB by sendfile, {copied:.2} s by read and write"
    ))
}

/// Megabytes a second that the disk takes if every MiB is synced.
fn write_synced(path: &Path) -> io::Result<f64> {
    let block = vec![0x5a_u8; PIECE];
    let mut file = File::create(path)?;
    let begun = Instant::now();
    for _ in 0..BYTES / PIECE {
        file.write_all(&block)?;
        file.sync_data()?;
    }
    Ok(BYTES as f64 / begun.elapsed().as_secs_f64() / 1e6)
}

/// Seconds of the sending thread for a GiB of a file that lies in memory: the median.
fn sending(path: &Path, send: Send) -> io::Result<f64> {
    let mut seconds = (0..ROUNDS).map(|_| sent_once(path, send)).collect::<io::Result<Vec<f64>>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[ROUNDS / 2] * f64::from(1 << 30) / BYTES as f64)
}

/// Seconds of the sending thread for the whole file.
fn sent_once(path: &Path, send: Send) -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let reader = thread::spawn(move || -> io::Result<()> {
        let (mut socket, mut piece) = (TcpStream::connect(address)?, vec![0; PIECE]);
        while socket.read(&mut piece)? > 0 {}
        Ok(())
    });
    let (mut socket, _) = listener.accept()?;
    let mut file = File::open(path)?;
    let before = own_seconds()?;
    let sent = send(&mut file, &mut socket)?;
    let seconds = own_seconds()? - before;
    drop(socket);
    reader.join().map_err(|_| io::Error::other("the reader has panicked"))??;
    if sent == BYTES as u64 { Ok(seconds) } else { Err(io::Error::other("the file was not sent whole")) }
}

fn through_memory(file: &mut File, socket: &mut TcpStream) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return file.stream_position();
        }
        socket.write_all(&piece[..read])?;
    }
}

/// Seconds that the thread has run; `schedstat` has nanoseconds.
fn own_seconds() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map(|ns| ns / 1e9).ok_or_else(|| io::Error::other("schedstat has no number"))
}
