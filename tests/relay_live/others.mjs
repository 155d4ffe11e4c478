// Judges webhooks with the npm packages standardwebhooks and svix: cases on stdin, a list of what accepted each on stdout.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const packages = { standardwebhooks: require("standardwebhooks"), svix: await import("svix") };
let text = "";
for await (const chunk of process.stdin) text += chunk;

const accepts = ({ Webhook, WebhookVerificationError }, { secret, headers, body }) => {
  try {
    new Webhook(secret).verify(Buffer.from(body, "base64"), headers);
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
};

const verdicts = JSON.parse(text).map((one) =>
  Object.keys(packages).filter((name) => accepts(packages[name], one)),
);
process.stdout.write(JSON.stringify(verdicts));
