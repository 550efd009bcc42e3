//! Unpacks zstd: any number of frames, with their checksums.

use std::io::{self, BufRead, Error, ErrorKind, Read};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// The largest window that is accepted: as much memory as `zstd -d` takes without an option.
const WINDOW_BYTES_MAX: u64 = 128 << 20;

pub struct ZstdDecoder<R> {
    input: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> ZstdDecoder<R> {
    pub fn new(input: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self { input, decoder, is_in_frame: false }
    }

    /// Begins the next frame; `false` at the end of the input.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.skip(length.into())?;
                }
                Err(_) => return Err(broken()),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match io::copy(&mut self.input.by_ref().take(bytes), &mut io::sink())? {
            skipped if skipped == bytes => Ok(()),
            _ => Err(broken()),
        }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(expected), Some(found)) if expected != found => Err(broken()),
            _ => Ok(()),
        }
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::InvalidData, "the zstd data is damaged or cut off")
}

impl<R: BufRead> Read for ZstdDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.is_in_frame {
                if !self.begin_frame()? {
                    return Ok(0);
                }
                self.is_in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|_| broken())?;
            }
            match self.decoder.read(buffer)? {
                0 => self.end_frame()?,
                count => return Ok(count),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        ZstdDecoder::new(packed).read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn frames_are_unpacked_one_after_the_other() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let frame = compress_to_vec(&text[..], CompressionLevel::Fastest);
        let skipped = [&0x184D_2A50_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
        let file = [&skipped[..], &frame, &skipped, &frame].concat();
        assert!(unpacked(&file).unwrap() == [&text[..], &text].concat());
        assert_eq!(unpacked(b"").unwrap(), b"");
    }

    #[test]
    fn damage_is_an_error() {
        let frame = compress_to_vec(&b"some text that is long enough"[..], CompressionLevel::Uncompressed);
        for end in 1..frame.len() {
            assert!(unpacked(&frame[..end]).is_err(), "cut at {end}");
        }
        let mut flipped = frame.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        assert!(unpacked(&flipped).unwrap_err().to_string().contains("damaged"));
        assert!(unpacked(b"no zstd").is_err());
    }
}
