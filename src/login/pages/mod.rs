//! What a learner sees on the way in.

pub mod landing;
