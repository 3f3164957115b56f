//! `make pictures`: draws the pictures and writes the tables again, of what is kept.

fn main() {
    sysadm_iocage_pictures::draw();
}
