// Accepts invites with a real browser, by keyboard alone, on a phone and on a desktop. A journey:
// { name, origin, slug, links: { phone: […], desktop: […] }, shows: […] }; the links are of two invites of two people, one
// that was replaced, and one for somebody else.
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

/** A link that a newer mail replaced says so. */
async function openOldLink(visit) {
  await visit.page.goto(visit.links.replaced);
  await visit.judge("invite replaced");
}

/** A weak password is told at its field; a good one lets the person in. */
async function acceptWithPassword(visit) {
  const { page, journey } = visit;
  await page.goto(visit.links.fresh);
  await visit.judge("invite");
  await typeInto(visit, "password", "short");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#password-error");
  await visit.judge("invite weak password");
  const described = await page.getAttribute("#password", "aria-describedby");
  visit.claim(described.includes("password-error"), "the field does not name its error");
  await typeInto(visit, "first_name", "Zoë");
  await typeInto(visit, "password", PASSWORD);
  await visit.tabTo("Accept the invitation");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname.endsWith("/dashboard"));
  for (const words of ["Hello, Zoë", ...journey.shows]) {
    visit.claim((await page.getByText(words).count()) > 0, `the dashboard does not show “${words}”`);
  }
  await visit.judge("invite accepted dashboard");
}

/** The back button and the link itself say that it is done. */
async function comeBack(visit) {
  const { page } = visit;
  await page.goto(visit.links.fresh);
  await visit.tabTo("Go to your learning");
  await visit.judge("invite accepted");
}

/** An invite for somebody else asks first; after signing out it is offered. */
async function meetSomebodyElses(visit) {
  const { page } = visit;
  await page.goto(visit.links.other);
  await visit.judge("invite somebody else");
  await visit.tabTo("Sign out and continue");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#first_name");
  const session = (await page.context().cookies()).filter((cookie) => cookie.name.includes("usher_cli_"));
  visit.claim(session.length === 0, "the session is still there");
}

await main((journey) => {
  const step = (walk) => {
    const named = async (visit) => {
      visit.links = journey.links[visit.size];
      await walk(visit);
    };
    Object.defineProperty(named, "name", { value: walk.name });
    return named;
  };
  return [openOldLink, acceptWithPassword, comeBack, meetSomebodyElses].map(step);
});
