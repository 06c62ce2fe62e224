//! Logos and backgrounds: uploaded, decoded for real, written anew and served; and what is refused.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use reqwest::Method;
use serde_json::json;

use crate::support::{Admin, App, Reply};

const LOGO: &str = "/api/v1/clients/acme/branding/logo";
const BACKGROUND: &str = "/api/v1/clients/acme/branding/background";

fn picture(width: u32, height: u32, format: ImageFormat, red: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgba8(RgbaImage::from_pixel(width, height, Rgba([red, 30, 40, 255])));
    let image = if format == ImageFormat::Jpeg { image.to_rgb8().into() } else { image };
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

async fn put(app: &App, admin: &Admin, path: &str, media: &str, bytes: Vec<u8>) -> Reply {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.put(app.url(path)).bearer_auth(&admin.token);
    let response = request.header("content-type", media).body(bytes).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Reply { status, headers, text: response.text().await.unwrap() }
}

async fn get(app: &App, path: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(app.url(path)).send().await.unwrap()
}

async fn start() -> (App, Admin) {
    let app = App::start().await;
    let operator = app.operator().await;
    for slug in ["acme", "globex"] {
        operator.post("/api/v1/clients", json!({ "slug": slug, "name": slug })).await.ok();
    }
    (app, operator)
}

#[tokio::test]
async fn an_uploaded_logo_is_written_anew_and_worn_by_every_page() {
    let (app, operator) = start().await;
    let mut bytes = picture(1200, 100, ImageFormat::WebP, 200);
    bytes.extend_from_slice(b"<script>alert(1)</script>");
    let client = put(&app, &operator, LOGO, "image/webp", bytes).await.ok();
    let url = client["branding"]["logo_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("/acme/branding/") && url.ends_with(".png"), "{url}");
    assert!(app.browser().visit(app.url("/acme")).await.html.contains(&format!("src=\"{url}\"")));

    let served = get(&app, &url).await;
    let header = |name: &str| served.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((served.status().as_u16(), header("content-type").as_str()), (200, "image/png"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert!(served.headers().get("set-cookie").is_none());
    let tag = header("etag");
    let bytes = served.bytes().await.unwrap();
    let read = image::load_from_memory(&bytes).unwrap();
    assert_eq!((read.width(), read.height()), (960, 80));
    assert!(!bytes.windows(8).any(|window| window == b"<script>"));
    let again = reqwest::Client::builder().no_proxy().build().unwrap();
    let again = again.get(app.url(&url)).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn a_form_with_one_file_is_taken_as_well() {
    let (app, operator) = start().await;
    let form = |files: usize| {
        let mut body = b"--x\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nours\r\n".to_vec();
        for _ in 0..files {
            body.extend_from_slice(b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\ncontent-type: text/html\r\n\r\n");
            body.extend(picture(30, 10, ImageFormat::Gif, 1));
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--x--\r\n");
        body
    };
    let media = "multipart/form-data; boundary=x";
    let client = put(&app, &operator, BACKGROUND, media, form(1)).await.ok();
    let url = client["branding"]["background_url"].as_str().unwrap().to_owned();
    assert_eq!(get(&app, &url).await.headers()["content-type"], "image/jpeg");
    assert_eq!(put(&app, &operator, LOGO, media, form(0)).await.problem(422), "branding.image_missing");
    assert_eq!(put(&app, &operator, LOGO, media, form(2)).await.problem(422), "branding.image_several");
    assert_eq!(put(&app, &operator, LOGO, "multipart/form-data", form(1)).await.problem(400), "api.body");
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_changes_nothing() {
    let (app, operator) = start().await;
    let good = picture(30, 10, ImageFormat::Png, 9);
    for (bytes, status, code) in [
        (Vec::new(), 422, "branding.image_missing"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec(), 415, "branding.image_svg"),
        (b"<html><script>alert(1)</script>".to_vec(), 415, "branding.image_type"),
        (b"{}".to_vec(), 415, "branding.image_type"),
        (good[..good.len() / 2].to_vec(), 422, "branding.image_damaged"),
        (vec![0; 1_000_001], 413, "branding.image_too_large"),
        (vec![0; 3_000_000], 413, "branding.image_too_large"),
    ] {
        let size = bytes.len();
        let reply = put(&app, &operator, LOGO, "image/png", bytes).await;
        assert_eq!(reply.problem(status), code, "{size} bytes");
    }
    assert!(operator.get("/api/v1/clients/acme").await.ok()["branding"]["logo_url"].is_null());
    let stored: i64 = sqlx::query_scalar("select count(*) from branding_files").fetch_one(&app.db).await.unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn another_clients_file_is_one_that_never_was() {
    let (app, operator) = start().await;
    let bytes = picture(30, 10, ImageFormat::Png, 9);
    let client = put(&app, &operator, LOGO, "image/png", bytes.clone()).await.ok();
    let url = client["branding"]["logo_url"].as_str().unwrap().to_owned();
    let stranger = app.admin_of("globex").await;
    assert_eq!(put(&app, &stranger, LOGO, "image/png", bytes).await.problem(404), "not_found");
    assert_eq!(stranger.delete(LOGO).await.problem(404), "not_found");

    let theirs = url.replace("/acme/", "/globex/");
    let reply = stranger.patch("/api/v1/clients/globex", json!({ "branding": { "logo_url": url } })).await;
    assert_eq!(reply.problem(422), "api.invalid");
    let reply = stranger.patch("/api/v1/clients/globex", json!({ "branding": { "logo_url": theirs } })).await;
    assert_eq!(reply.problem(422), "api.invalid");
    let never = "/globex/branding/00000000000000000000000000000000.png".to_owned();
    let css = theirs.replace(".png", ".css");
    let mut bodies = Vec::new();
    for path in [&theirs, &never, &css, &url.replace(".png", ".jpg"), &url.replace(".png", ""), &url.to_uppercase()] {
        let response = get(&app, path).await;
        assert_eq!(response.status(), 404, "{path}");
        let body: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        bodies.push(body["code"].clone());
    }
    assert!(bodies.iter().all(|code| code == "not_found"), "{bodies:?}");
}

#[tokio::test]
async fn a_logo_is_taken_away_with_its_bytes_and_what_is_shown_can_be_written_back() {
    let (app, operator) = start().await;
    let client = put(&app, &operator, LOGO, "image/png", picture(30, 10, ImageFormat::Png, 9)).await.ok();
    let url = client["branding"]["logo_url"].as_str().unwrap().to_owned();
    let same = json!({ "branding": { "logo_url": url, "accent_color": "#123456" } });
    assert_eq!(operator.patch("/api/v1/clients/acme", same).await.ok()["branding"]["logo_url"], json!(url));
    assert_eq!(operator.delete(LOGO).await.status, 204);
    assert_eq!(operator.delete(LOGO).await.problem(404), "not_found");
    assert_eq!(get(&app, &url).await.status(), 404);
    assert!(!app.browser().visit(app.url("/acme")).await.html.contains(&url));
    let events = operator.get("/api/v1/clients/acme/events?action=client.updated").await.ok();
    assert_eq!(events["items"][0]["facts"]["fields"], json!(["branding/logo_url"]));
    assert_eq!(events["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn files_of_the_past_are_kept_for_mails_and_not_for_ever() {
    let (app, operator) = start().await;
    let background = put(&app, &operator, BACKGROUND, "image/png", picture(9, 9, ImageFormat::Png, 200)).await.ok();
    let mut urls = Vec::new();
    for red in 0..24 {
        let client = put(&app, &operator, LOGO, "image/png", picture(9, 9, ImageFormat::Png, red)).await.ok();
        urls.push(client["branding"]["logo_url"].as_str().unwrap().to_owned());
    }
    assert_eq!(get(&app, &urls[0]).await.status(), 404);
    for url in [&urls[10], &urls[23], background["branding"]["background_url"].as_str().unwrap()] {
        assert_eq!(get(&app, url).await.status(), 200, "{url}");
    }
}

#[tokio::test]
async fn uploads_need_the_permission_to_change_clients() {
    let (app, _) = start().await;
    let reader = app.admin_with(Some("acme"), &[usher::admin::Permission::ClientsRead]).await;
    let reply = put(&app, &reader, LOGO, "image/png", picture(9, 9, ImageFormat::Png, 1)).await;
    assert_eq!(reply.problem(403), "api.scope_missing");
    let reply = reader.call(Method::POST, LOGO, None, &[]).await;
    assert_eq!(reply.problem(405), "method_not_allowed");
}
