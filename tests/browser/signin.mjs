// Signs people in with a real browser, the way people do: mostly by keyboard, on a phone and on a desktop. A journey:
// { name, origin, slug, protocol, way, person, email, shows: […], outsider }.
import { main } from "./visit.mjs";

async function signIn(visit) {
  const { page, journey } = visit;
  await page.goto(visit.url(""));
  await visit.judge("landing");
  const posts = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().includes("/acs")) posts.push(request.allHeaders());
  });
  await visit.tabTo(journey.way);
  await page.keyboard.press("Enter");
  await visit.pick(journey.person);
  await visit.arrive();
  await visit.judge("dashboard");
  if (journey.protocol === "saml") {
    const sent = (await Promise.all(posts)).map((headers) => "cookie" in headers);
    visit.claim(JSON.stringify(sent) === "[false,true]", `the form came with cookies: ${sent}; it comes without, then with`);
  }
  const cookies = await page.context().cookies(journey.origin);
  const session = cookies.filter((cookie) => cookie.name.includes("usher_cli_"));
  visit.claim(session.length === 1, `there are ${session.length} session cookies`);
  for (const cookie of cookies) {
    visit.claim(cookie.httpOnly && cookie.sameSite === "Lax", `the cookie ${cookie.name} is open to more than it needs`);
  }
}

async function signOut(visit) {
  const { page } = visit;
  await visit.tabTo("Sign out");
  await page.keyboard.press("Enter");
  // By way of the provider, where it offers single logout.
  await page.waitForURL((url) => url.href.split("?")[0] === visit.url("/logout"));
  await visit.judge("signed out");
  await page.goto(visit.url("/dashboard"));
  visit.claim(page.url() === visit.url(""), `after signing out the dashboard leads to ${page.url()}`);
}

/** By e-mail: an unknown domain leads to no provider, the right one leads on, across the redirects that a form's policy guards. */
async function signInByEmail(visit) {
  const { page, journey } = visit;
  await page.goto(visit.url("/login"));
  await visit.judge("login");
  await page.keyboard.type("somebody@nowhere.example");
  await page.keyboard.press("Enter");
  // Where the client takes passwords, every address that no provider owns is asked for one.
  await page.waitForSelector(".notice-warn, input[type=password]");
  await visit.judge("login unknown");
  await page.goto(visit.url("/login"));
  await page.fill("#email", journey.email);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => !url.pathname.endsWith("/login"));
  // The provider may still know the person.
  if (!page.url().startsWith(journey.origin)) await visit.pick(journey.person);
  await visit.arrive();
}

/** Somebody who may not come in reads why, and a reference. */
async function beRefused(visit) {
  const { page, journey } = visit;
  await page.context().clearCookies();
  await page.goto(visit.url(""));
  await visit.tabTo(journey.way);
  await page.keyboard.press("Enter");
  await visit.pick(journey.outsider);
  await page.waitForSelector("#reference");
  const response = await page.evaluate(() => performance.getEntriesByType("navigation")[0].responseStatus);
  visit.claim(response === 403, `the refusal has the status ${response}`);
  await visit.judge("refusal");
  const copies = await page.locator("[data-copy]").isVisible();
  visit.claim(copies, "the reference has no button that copies it");
}

/** A page of an answer that fits no sign-in. */
async function beLost(visit) {
  await visit.page.goto(`${visit.journey.origin}/no/such/page`);
  await visit.judge("not found");
}

const steps = [signIn, signOut, signInByEmail, beLost];
await main((journey) => (journey.outsider ? [...steps, beRefused] : steps));
