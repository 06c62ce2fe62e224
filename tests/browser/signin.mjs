// Signs people in with a real browser, the way people do: mostly by keyboard, on a phone and on a desktop. Takes one
// argument, JSON: { chromium, shots, journeys: [{ name, origin, slug, way, person, email, shows: […], outsider }] }.
// Prints one line of JSON: { problems: […] }. An empty list means that everything went well.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const task = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 800 } };
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const problems = [];

/** One journey on one screen: the browser, its page and what went wrong so far. */
class Visit {
  constructor(page, journey, size) {
    Object.assign(this, { page, journey, size });
    this.name = `${journey.name} on a ${size}`;
  }

  claim(holds, what) {
    if (!holds) problems.push(`${this.name}: ${what}`);
  }

  url(path) {
    return `${this.journey.origin}/${this.journey.slug}${path}`;
  }

  /** Looks at the page: axe finds nothing, nothing sticks out, one picture for people. */
  async judge(what) {
    await this.page.waitForLoadState("load");
    const seen = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    this.claim(seen <= 0, `${what} is ${seen} px wider than the screen`);
    // Over CDP, so that the page's own policy stays as it is and still lets the judge in.
    await this.page.evaluate(axe);
    const found = await this.page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const violation of found.violations) {
      const where = violation.nodes.map((node) => node.target.join(" ")).join(", ");
      this.claim(false, `${what}: ${violation.id}, ${violation.help} (${where})`);
    }
    if (task.shots) {
      const path = join(task.shots, `${this.journey.name}-${what.replaceAll(" ", "-")}-${this.size}.png`);
      await this.page.screenshot({ path, fullPage: true });
    }
  }

  /** Goes on with Tab until something that says `words` has the focus, and it shows. */
  async tabTo(words) {
    for (let step = 0; step < 40; step += 1) {
      await this.page.keyboard.press("Tab");
      const focus = await this.page.evaluate(() => {
        const element = document.activeElement;
        const marked = element.closest(".item") ?? element;
        return { words: element.innerText ?? "", outline: getComputedStyle(marked).outlineStyle };
      });
      if (focus.words.includes(words)) {
        this.claim(focus.outline !== "none", `the focus on “${words}” does not show`);
        return;
      }
    }
    throw new Error(`the keyboard does not reach “${words}” on ${this.page.url()}`);
  }

  /** Picks the person on the identity provider's page. */
  async pick(person) {
    await this.page.waitForURL((url) => !url.href.startsWith(this.journey.origin));
    await this.page.click(`button[name="username"][value="${person}"]`);
  }

  async arrive() {
    await this.page.waitForURL(this.url("/dashboard"));
    for (const words of this.journey.shows) {
      const count = await this.page.getByText(words, { exact: false }).count();
      this.claim(count > 0, `the dashboard does not show “${words}”`);
    }
  }
}

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
  await page.waitForURL(visit.url("/logout"));
  await visit.judge("signed out");
  await page.goto(visit.url("/dashboard"));
  visit.claim(page.url() === visit.url(""), `after signing out the dashboard leads to ${page.url()}`);
}

/** By e-mail: an unknown domain is told so, the right one leads on, across the redirects that a form's policy guards. */
async function signInByEmail(visit) {
  const { page, journey } = visit;
  await page.goto(visit.url("/login"));
  await visit.judge("login");
  await page.keyboard.type("somebody@nowhere.example");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".notice-warn");
  await visit.judge("login unknown");
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

async function run(journey, size) {
  const folder = mkdtempSync(join(tmpdir(), "usher-browser-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: task.chromium, headless: true, args: FLAGS, viewport: SIZES[size], chromiumSandbox: false,
  });
  context.setDefaultTimeout(30_000);
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    const visit = new Visit(page, journey, size);
    page.on("console", (message) => {
      // Scripts, styles and forms that the policy stops are told here.
      visit.claim(!/Content Security Policy/.test(message.text()), message.text());
    });
    page.on("pageerror", (error) => visit.claim(false, `a script failed: ${error.message}`));
    const steps = [signIn, signOut, signInByEmail, beLost];
    for (const step of steps) {
      await step(visit).catch((error) => visit.claim(false, `${step.name}: ${error.message} at ${page.url()}`));
    }
    if (journey.outsider) {
      await context.clearCookies();
      await beRefused(visit).catch((error) => visit.claim(false, `beRefused: ${error.message} at ${page.url()}`));
    }
  } finally {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const journey of task.journeys) {
  for (const size of Object.keys(SIZES)) await run(journey, size);
}
console.log(JSON.stringify({ problems }));
