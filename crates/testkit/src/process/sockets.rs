//! What the kernel says of TCP sockets, from procfs.

use std::fs;

use super::Outcome;

/// Bytes that came and were not read yet, of each connection from 127.0.0.1 to `port` there, at its client's side.
///
/// # Errors
/// The table of connections cannot be read.
pub fn receive_queues(port: u16) -> Outcome<Vec<u64>> {
    // A line: number, local address, remote address, state, tx_queue:rx_queue, and more. All are hexadecimal,
    // addresses as they lie in memory.
    const ESTABLISHED: &str = "01";
    let remote = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let queues = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let ours = fields.next()? == remote && fields.next()? == ESTABLISHED;
        ours.then(|| fields.next()?.split_once(':')).flatten()
    });
    Ok(queues.map(|(_, queue)| u64::from_str_radix(queue, 16)).collect::<Result<_, _>>()?)
}
