//! What kernels and disks do to a server: a disk that hangs, system calls that are refused.

mod hanging_disk;
mod hung;
mod refused;
mod unit;
