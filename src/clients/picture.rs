//! Uploaded pictures: decoded for real, within limits, and written anew, so that nothing of the file that came is ever
//! served: no metadata, no second format hidden in it, no script.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    imageops::FilterType,
};

use crate::crypto::sha256;

/// Pixels that are decoded at most: 64 MB of memory.
const MAX_PIXELS: u64 = 16_000_000;
const MAX_SIDE: u32 = 8_192;
const MAX_MEMORY: u64 = 160 << 20;
const JPEG_QUALITY: u8 = 82;

/// Which picture of a look it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Logo,
    Background,
}

impl Part {
    /// The field that names it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Logo => "logo_url",
            Self::Background => "background_url",
        }
    }

    /// The largest upload, in bytes.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Logo => 1_000_000,
            Self::Background => 4_000_000,
        }
    }

    /// What is larger is scaled down to fit: three times what pages show.
    const fn fits(self) -> (u32, u32) {
        match self {
            Self::Logo => (960, 320),
            Self::Background => (2_000, 1_600),
        }
    }
}

/// A file that is served with a look. Its name is its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrandFile {
    /// 32 hexadecimal digits of the SHA-256 of the bytes.
    pub hash: String,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

impl BrandFile {
    pub fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let hash = sha256(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { hash, media_type, bytes }
    }

    /// Where it is served.
    pub fn path(&self, slug: &str) -> String {
        format!("/{slug}/branding/{}.{}", self.hash, ending(self.media_type).unwrap_or("bin"))
    }
}

/// How the name of a file of this type ends.
pub fn ending(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/png" => Some("png"),
        "image/jpeg" => Some("jpg"),
        "text/css" => Some("css"),
        _ => None,
    }
}

/// Why a picture is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("send the picture itself: PNG, JPEG, WebP or GIF")]
    Empty,
    #[error("SVG is not taken, since it can hold scripts and load other files; export it as PNG, 960 pixels wide")]
    Svg,
    #[error("this is no PNG, JPEG, WebP or GIF, whatever its name says")]
    UnknownType,
    #[error("a picture has at most 16 million pixels and 8,192 on a side; make it smaller")]
    TooManyPixels,
    #[error("the picture is damaged or incomplete; save it again and try once more")]
    Damaged,
}

/// Decodes a picture (the first frame of a moving one), turns it upright, scales it down where it is larger than pages
/// need, and writes it anew. Takes up to a second or so: call it on a blocking thread.
pub fn remake(bytes: &[u8], part: Part) -> Result<BrandFile, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Gif)) => format,
        _ if is_svg(bytes) => return Err(PictureError::Svg),
        _ => return Err(PictureError::UnknownType),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::TooManyPixels);
    }
    let orientation = decoder.orientation().map_err(reason)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(reason)?;
    picture.apply_orientation(orientation);
    let (most_wide, most_high) = part.fits();
    if picture.width() > most_wide || picture.height() > most_high {
        picture = picture.resize(most_wide, most_high, FilterType::CatmullRom);
    }
    write(&picture, part)
}

fn reason(error: image::ImageError) -> PictureError {
    match error {
        image::ImageError::Limits(_) => PictureError::TooManyPixels,
        _ => PictureError::Damaged,
    }
}

fn write(picture: &DynamicImage, part: Part) -> Result<BrandFile, PictureError> {
    let mut bytes = Vec::new();
    match part {
        Part::Logo => {
            picture.to_rgba8().write_with_encoder(PngEncoder::new(&mut bytes)).map_err(reason)?;
            Ok(BrandFile::new("image/png", bytes))
        }
        Part::Background => {
            let opaque = over_white(picture);
            opaque.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)).map_err(reason)?;
            Ok(BrandFile::new("image/jpeg", bytes))
        }
    }
}

/// JPEG knows nothing that shines through.
fn over_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    let blend = |channel: u8, alpha: u8| {
        let sum = u16::from(channel) * u16::from(alpha) + 255 * (255 - u16::from(alpha));
        u8::try_from(sum / 255).unwrap_or(u8::MAX)
    };
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0;
        Rgb([blend(red, alpha), blend(green, alpha), blend(blue, alpha)])
    })
}

fn is_svg(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(bytes.get(..bytes.len().min(1024)).unwrap_or_default()).to_ascii_lowercase();
    start.contains("<svg") || start.trim_start_matches('\u{feff}').trim_start().starts_with("<?xml")
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = RgbaImage::from_pixel(width, height, Rgba([200, 30, 40, 128]));
        let image = DynamicImage::ImageRgba8(image);
        let image = if format == ImageFormat::Jpeg { image.to_rgb8().into() } else { image };
        image.write_to(&mut bytes, format).expect("it is written");
        bytes.into_inner()
    }

    fn read(file: &BrandFile) -> DynamicImage {
        image::load_from_memory(&file.bytes).expect("it is read")
    }

    #[test]
    fn every_allowed_format_becomes_one_of_ours() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
            let logo = remake(&picture(40, 20, format), Part::Logo).expect("a logo");
            assert_eq!((logo.media_type, read(&logo).width()), ("image/png", 40), "{format:?}");
            let background = remake(&picture(40, 20, format), Part::Background).expect("a background");
            assert_eq!(background.media_type, "image/jpeg", "{format:?}");
        }
    }

    #[test]
    fn what_is_larger_than_pages_need_is_scaled_down_in_proportion() {
        let logo = remake(&picture(1920, 200, ImageFormat::Png), Part::Logo).expect("a logo");
        assert_eq!((read(&logo).width(), read(&logo).height()), (960, 100));
        let square = remake(&picture(640, 640, ImageFormat::Png), Part::Logo).expect("a logo");
        assert_eq!((read(&square).width(), read(&square).height()), (320, 320));
    }

    #[test]
    fn what_follows_or_hides_in_a_file_is_gone() {
        let mut bytes = picture(40, 20, ImageFormat::Png);
        bytes.extend_from_slice(b"<script>alert(1)</script>");
        let logo = remake(&bytes, Part::Logo).expect("a logo");
        assert!(!logo.bytes.windows(8).any(|window| window == b"<script>"));
        assert_eq!(logo.hash, remake(&picture(40, 20, ImageFormat::Png), Part::Logo).expect("a logo").hash);
    }

    #[test]
    fn what_only_looks_like_a_picture_is_refused() {
        let whole = picture(40, 20, ImageFormat::Png);
        assert_eq!(remake(b"", Part::Logo), Err(PictureError::Empty));
        assert_eq!(remake(&whole[..60], Part::Logo), Err(PictureError::Damaged));
        assert_eq!(remake(b"\x89PNG\r\n\x1a\n<script>", Part::Logo), Err(PictureError::Damaged));
        assert_eq!(remake(b"<svg xmlns='http://www.w3.org/2000/svg'/>", Part::Logo), Err(PictureError::Svg));
        assert_eq!(remake(b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", Part::Logo), Err(PictureError::Svg));
        for bytes in [&b"<html><script>"[..], b"BM6\0\0\0", b"%PDF-1.7", b"\0\0\x01\0", b"II*\0", &[0; 5000]] {
            assert_eq!(remake(bytes, Part::Logo), Err(PictureError::UnknownType));
        }
    }

    #[test]
    fn a_picture_that_would_unpack_to_gigabytes_is_refused_before_it_is_unpacked() {
        // A PNG's header names its size; nothing behind it is needed for the refusal.
        for (width, height) in [(60_000_u32, 60_000_u32), (8_000, 8_000), (1, 9_000)] {
            let mut bytes = picture(8, 8, ImageFormat::Png);
            bytes[16..20].copy_from_slice(&width.to_be_bytes());
            bytes[20..24].copy_from_slice(&height.to_be_bytes());
            let crc = crc(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&crc.to_be_bytes());
            assert_eq!(remake(&bytes, Part::Logo), Err(PictureError::TooManyPixels), "{width} by {height}");
        }
    }

    /// PNG, annex D.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
        })
    }
}
