//! HTTP/2 by hand: what no client library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const SETTINGS: u8 = 4;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// POST, http, the path of Subscribe: HPACK without compression.
pub fn request() -> Vec<u8> {
    const PATH: &[u8] = b"/switchboard.v1.DeliveryService/Subscribe";
    let mut block = vec![0x83, 0x86, 0x04, PATH.len() as u8];
    block.extend(PATH);
    block.extend([0x01, 1, b'x']);
    literal(&mut block, b"content-type", b"application/grpc");
    literal(&mut block, b"te", b"trailers");
    block
}

/// A header field that is not remembered.
pub fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        let mut length = text.len();
        // HPACK's integers: 7 bits, then 7 more in each byte.
        if length < 127 {
            block.push(length as u8);
        } else {
            block.push(127);
            length -= 127;
            while length >= 128 {
                block.push((length % 128) as u8 | 0x80);
                length /= 128;
            }
            block.push(length as u8);
        }
        block.extend(text);
    }
}

/// A connection whose client ignores all that is said to it.
pub struct Rude {
    stream: TcpStream,
    /// Bytes sent.
    pub sent: usize,
}

impl Rude {
    pub async fn connect(grpc: SocketAddr) -> Self {
        let mut rude = Self { stream: TcpStream::connect(grpc).await.unwrap(), sent: 0 };
        assert!(rude.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await);
        assert!(rude.send(&frame(SETTINGS, 0, 0, &[])).await);
        rude
    }

    /// Whether it could still be sent. What has come is thrown away.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let mut written = 0;
        let mut nothing = [0; 4096];
        while written < bytes.len() {
            let (read, write) = self.stream.split();
            let (mut read, mut write) = (read, write);
            tokio::select! {
                count = write.write(&bytes[written..]) => match count {
                    Ok(count) if count > 0 => written += count,
                    _ => return false,
                },
                count = read.read(&mut nothing) => if !matches!(count, Ok(count) if count > 0) {
                    return false;
                },
            }
        }
        self.sent += written;
        true
    }
}
