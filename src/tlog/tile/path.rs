//! Paths of a log's resources. Source: C2SP tlog-tiles, APIs.

use std::fmt;
use std::str::FromStr;

use super::entries::BundleId;
use super::{TILE_WIDTH, TileId};
use crate::text;

/// What each element of a path counts: three decimal digits.
const BASE: u64 = 1000;

/// Digits of an element.
const DIGITS: usize = 3;

/// What a log serves below its prefix, shown as its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `checkpoint`: the newest signed checkpoint.
    Checkpoint,
    /// `tile/<L>/<N>[.p/<W>]`: hashes.
    Tile(TileId),
    /// `tile/entries/<N>[.p/<W>]`: entries.
    Entries(BundleId),
}

impl Resource {
    /// The `Content-Type` it is served with.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Checkpoint => "text/plain; charset=utf-8",
            Self::Tile(_) | Self::Entries(_) => "application/octet-stream",
        }
    }

    /// Whether it never changes, so that it may be cached for ever.
    pub const fn is_immutable(self) -> bool {
        matches!(self, Self::Tile(_) | Self::Entries(_))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile(id) => {
                write!(f, "tile/{}/", id.level())?;
                (id.index(), id.width())
            }
            Self::Entries(id) => {
                f.write_str("tile/entries/")?;
                (id.index(), id.width())
            }
        };
        write_index(f, index)?;
        if width < TILE_WIDTH {
            write!(f, ".p/{width}")?;
        }
        Ok(())
    }
}

/// Three digits an element; all but the last begin with `x`: 1234067 is `x001/x234/067`.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let mut elements = Vec::new();
    let mut rest = index;
    while rest >= BASE {
        elements.push(rest.checked_rem(BASE).unwrap_or(0));
        rest = rest.checked_div(BASE).unwrap_or(0);
    }
    elements.push(rest);
    while let Some(element) = elements.pop() {
        if elements.is_empty() {
            write!(f, "{element:03}")?;
        } else {
            write!(f, "x{element:03}/")?;
        }
    }
    Ok(())
}

/// Reads a path; only the one spelling that [`Resource`] itself writes is read.
impl FromStr for Resource {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        let resource = read(path).ok_or(PathError)?;
        // Whatever was read leniently above is refused here.
        if resource.to_string() != path {
            return Err(PathError);
        }
        Ok(resource)
    }
}

fn read(path: &str) -> Option<Resource> {
    let Some(tile) = path.strip_prefix("tile/") else {
        return Some(Resource::Checkpoint);
    };
    let (level, place) = tile.split_once('/')?;
    let (index, width) = match place.split_once(".p/") {
        Some((index, width)) => (index, u16::try_from(text::size(width)?).ok()?),
        None => (place, TILE_WIDTH),
    };
    let index = read_index(index)?;
    if level == "entries" {
        return BundleId::new(index, width).ok().map(Resource::Entries);
    }
    let level = u8::try_from(text::size(level)?).ok()?;
    TileId::new(level, index, width).ok().map(Resource::Tile)
}

fn read_index(index: &str) -> Option<u64> {
    index.split('/').try_fold(0_u64, |index, element| {
        let digits = element.strip_prefix('x').unwrap_or(element);
        let digits = (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then_some(digits)?;
        index.checked_mul(BASE)?.checked_add(digits.parse().ok()?)
    })
}

/// A log has nothing at that path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no resource of a log has that path")]
pub struct PathError;
