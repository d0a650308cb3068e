//! Bitcoin and Litecoin through the public doors.

mod address;
