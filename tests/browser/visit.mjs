// What the programs of the browser tests share: one person's journey on one screen, and what is looked at on every page.
// A program takes one argument, JSON: { chromium, shots, journeys: [{ name, origin, slug, … }] }, and prints one line of
// JSON: { problems: […] }. An empty list means that everything went well.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
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
    // On a client's own host the pages stand at the root.
    const { origin, slug } = this.journey;
    return slug ? `${origin}/${slug}${path}` : `${origin}${path || "/"}`;
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
        return { words: element.textContent ?? "", outline: getComputedStyle(marked).outlineStyle };
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

/** Walks the steps of one journey on one screen, in a browser of its own. A step that fails does not keep the next. */
async function walk(journey, size, steps) {
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
    for (const step of steps) {
      await step(visit).catch((error) => visit.claim(false, `${step.name}: ${error.message} at ${page.url()}`));
    }
  } finally {
    await context.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Walks every journey of the task on every screen, and tells what went wrong. */
export async function main(stepsOf) {
  for (const journey of task.journeys) {
    for (const size of Object.keys(SIZES)) await walk(journey, size, stepsOf(journey));
  }
  console.log(JSON.stringify({ problems }));
}
