// People with a password of their own, by keyboard alone: a forgotten password set anew by the link of a mail, signing in
// with it, the account page, and the proof of an address. A journey is { name, origin, slug, links }, and `links` answers
// with the newest link of a kind that was mailed to an address; see visit.mjs.
import { main } from "./visit.mjs";

const OLD = "violet kettle under the moss";
const NEW = "seven brisk otters at dawn";
const LATER = "nine slow herons in a row";

/** Types into the field that has the focus, in place of what it holds, and presses Enter. */
async function answer({ page }, words) {
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
}

/** The newest link in the mails to an address. */
async function link({ journey }, email, kind) {
  const answer = await fetch(`${journey.links}?email=${encodeURIComponent(email)}&kind=${kind}`);
  if (!answer.ok) throw new Error(`no ${kind} was mailed to ${email}`);
  return `${journey.origin}${await answer.text()}`;
}

/** Each screen has a person of its own. */
const owner = (visit) => `owner-${visit.size}@mail.example`;
const newcomer = (visit) => `newcomer-${visit.size}@mail.example`;

async function askForANewPassword(visit) {
  const { page } = visit;
  await page.goto(visit.url("/login"));
  await visit.judge("login");
  await answer(visit, owner(visit));
  await page.waitForSelector("#password");
  await visit.judge("password");
  await answer(visit, "not this one, I fear");
  await page.waitForSelector(".notice-warn");
  await visit.judge("password wrong");
  await visit.tabTo("Forgot your password?");
  await page.keyboard.press("Enter");
  await page.waitForURL(visit.url("/password/forgot"));
  await visit.judge("forgot");
  await answer(visit, "nobody");
  await page.waitForSelector(".field-error");
  await visit.judge("forgot wrong");
  await answer(visit, owner(visit));
  await page.waitForSelector("[role=status]");
  await visit.judge("forgot sent");
}

async function setIt(visit) {
  const { page } = visit;
  await page.goto(await link(visit, owner(visit), "password_reset"));
  await visit.judge("reset");
  await answer(visit, "password1234");
  await page.waitForSelector(".field-error");
  await visit.judge("reset weak");
  await answer(visit, NEW);
  await page.waitForSelector("[role=status]");
  await visit.judge("reset done");
  await page.goto(await link(visit, owner(visit), "password_reset"));
  await visit.judge("link used");
  await page.goto(visit.url("/login/password"));
}

async function signInWithIt(visit) {
  const { page } = visit;
  await page.waitForSelector("#email:focus");
  await page.keyboard.type(owner(visit));
  await page.keyboard.press("Tab");
  await answer(visit, NEW);
  await page.waitForURL(visit.url("/dashboard"));
  await visit.judge("dashboard with account");
  const cookies = await page.context().cookies(visit.journey.origin);
  for (const cookie of cookies) {
    visit.claim(cookie.httpOnly && cookie.sameSite === "Lax", `the cookie ${cookie.name} is open to more than it needs`);
  }
}

async function changeIt(visit) {
  const { page } = visit;
  await visit.tabTo("Account");
  await page.keyboard.press("Enter");
  await page.waitForURL(visit.url("/account"));
  await visit.judge("account");
  await page.focus("#password-current");
  await page.keyboard.type(OLD);
  await page.keyboard.press("Tab");
  await answer(visit, LATER);
  await page.waitForSelector(".field-error");
  await visit.judge("account wrong");
  await visit.page.keyboard.type(NEW);
  await page.keyboard.press("Tab");
  await answer(visit, LATER);
  await page.waitForSelector(".notice-good");
  await visit.judge("account changed");
  await visit.tabTo("Back to your learning");
  await page.keyboard.press("Enter");
  await page.waitForURL(visit.url("/dashboard"));
}

async function proveAnAddress(visit) {
  const { page } = visit;
  await page.context().clearCookies();
  await page.goto(visit.url("/login/password"));
  await page.waitForSelector("#email:focus");
  await page.keyboard.type(newcomer(visit));
  await page.keyboard.press("Tab");
  await answer(visit, OLD);
  await page.waitForURL(visit.url("/dashboard"));
  await visit.judge("dashboard unproved");
  await visit.tabTo("Account");
  await page.keyboard.press("Enter");
  await page.waitForURL(visit.url("/account"));
  await visit.judge("account unproved");
  await page.goto(await link(visit, newcomer(visit), "confirm_email"));
  await visit.judge("confirm");
  await answer(visit, NEW);
  await page.waitForURL((url) => url.pathname.endsWith("/dashboard"));
  await visit.judge("dashboard proved");
  const waits = await page.locator(".notice-warn").count();
  visit.claim(waits === 0, "the dashboard still asks for the proof");
}

await main(() => [askForANewPassword, setIt, signInWithIt, changeIt, proveAnAddress]);
