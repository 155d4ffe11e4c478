// Verifies the proofs given on stdin ([{text, block_hash, signers}]) by relay/kit/verify_deposit.mjs; prints what each came to.
import { ProofInvalid, verifyDeposit } from "../../../relay/kit/verify_deposit.mjs";

let given = "";
for await (const chunk of process.stdin) given += chunk;

const verdicts = JSON.parse(given).map(({ text, block_hash: blockHash, signers }) => {
  try {
    const found = verifyDeposit(Buffer.from(text, "latin1"), blockHash, { signers });
    return { ...found, amountBaseUnits: String(found.amountBaseUnits), work: String(found.work) };
  } catch (error) {
    if (error instanceof ProofInvalid) return { refused: error.message };
    throw error;
  }
});
process.stdout.write(JSON.stringify(verdicts));
