// Redeems codes with a real browser, by keyboard alone, on a phone and on a desktop: from the box, from links, as somebody
// new, signed in, and through single sign-on. A journey: { name, origin, slug, codes: { new, signedIn, carried }, way,
// person: { phone, desktop } }. Without codes for somebody new, the organisation alone signs people in.
import { main } from "./visit.mjs";

const PASSWORD = "tapir walks over seven bridges";

/** Goes on with Tab until the field has the focus, and types into it, over what it held. */
async function typeInto(visit, id, words) {
  const { page } = visit;
  for (let step = 0; step < 40; step += 1) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate(() => document.activeElement.id)) === id) {
      await page.keyboard.press("Control+A");
      await page.keyboard.type(words);
      return;
    }
  }
  throw new Error(`the keyboard does not reach #${id} on ${page.url()}`);
}

/** Waits for the learner's home, and for words on it. */
async function land(visit, ...shows) {
  const { page } = visit;
  await page.waitForURL((url) => url.pathname.endsWith("/dashboard"));
  for (const words of shows) {
    visit.claim((await page.getByText(words).count()) > 0, `the dashboard does not show “${words}”`);
  }
}

/** Opens a link with a code in it; the code leaves the address. */
async function openLink(visit, code) {
  const { page } = visit;
  await page.goto(visit.url(`/${code}`));
  visit.claim(page.url().startsWith(visit.url("/redeem?h=")), `the link leads to ${page.url()}`);
  visit.claim(!page.url().includes(code), "the code stands in the address");
  visit.claim((await page.getByText(code).count()) > 0, `the page does not show ${code}`);
}

/** A code that was mistyped says so, and stays in the box. */
async function mistype(visit) {
  const { page } = visit;
  await page.goto(visit.url(""));
  await visit.judge("landing with box");
  await typeInto(visit, "codes", "NO-SUCH-CODE");
  await visit.tabTo("Use code");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".notice-warn");
  await visit.judge("code unknown");
  const typed = await page.inputValue("#codes");
  visit.claim(typed === "NO-SUCH-CODE", `the box holds “${typed}”`);
}

/** Somebody new: what is wrong stands at its field, then the access is there. */
async function signUp(visit) {
  const { page, journey, size } = visit;
  await openLink(visit, journey.codes.new);
  await visit.judge("code for somebody new");
  await typeInto(visit, "first_name", "Zoë");
  await typeInto(visit, "email", "zoe@nowhere");
  await typeInto(visit, "password", "short");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#password-error");
  await visit.judge("code form with mistakes");
  for (const field of ["last_name", "email", "password"]) {
    const invalid = await page.getAttribute(`#${field}`, "aria-invalid");
    visit.claim(invalid === "true", `the field ${field} is not marked`);
  }
  await typeInto(visit, "last_name", "Müller");
  await typeInto(visit, "email", `zoe-${size}@new.example`);
  await typeInto(visit, "password", PASSWORD);
  await visit.tabTo("Get access");
  await page.keyboard.press("Enter");
  await land(visit, "open for you now", "Your email address is not confirmed yet");
  await visit.judge("code landed");
}

/** Signed in: the link asks, the button redeems, and the back button does no harm. */
async function redeemSignedIn(visit) {
  const { page, journey } = visit;
  await openLink(visit, journey.codes.signedIn);
  await visit.judge("code confirm");
  await visit.tabTo("Open it for me");
  await page.keyboard.press("Enter");
  await land(visit, `Your code ${journey.codes.signedIn} has been used`);
  await page.goBack();
  await page.reload();
  visit.claim((await page.getByText("You have used this code").count()) > 0, "the page before does not say that it is done");
  await visit.judge("code used before");
}

/** Through the organisation's own sign-in: the code goes along. */
async function throughSso(visit) {
  const { page, journey } = visit;
  await page.context().clearCookies();
  await openLink(visit, journey.codes.carried);
  await visit.judge("code and single sign-on");
  await visit.tabTo(journey.way);
  await page.keyboard.press("Enter");
  await visit.pick(journey.person[visit.size]);
  await land(visit, `Your code ${journey.codes.carried} has been used`);
  await visit.judge("code through sign-in");
}

await main((journey) => [mistype, ...(journey.codes.new ? [signUp, redeemSignedIn] : []), throughSso]);
