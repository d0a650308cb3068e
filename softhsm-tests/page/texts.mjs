// Renders approval texts as the approval page does: a line of JSON in, one out.
//   node softhsm-tests/page/texts.mjs < questions
import readline from "node:readline";
import { agreed } from "../../src/signer/page/text.mjs";

for await (const line of readline.createInterface({ input: process.stdin })) {
    const { answer, need, says } = JSON.parse(line);
    const said = await agreed(answer, need, says).then(
        (text) => ({ text }),
        (error) => ({ refused: error.message }),
    );
    console.log(JSON.stringify(said));
}
