import type { PictureSize } from '../../core/price/demand.ts';

/** How a family of models counts the tokens of one picture: developers.openai.com/api/docs/guides/images-vision */
interface PictureRule {
  /** Models by name. */
  readonly models: RegExp;
  /** Tokens of a picture, and of each tile of 512 × 512 pixels. */
  readonly tiles?: { readonly base: number; readonly each: number };
  /** Most patches of 32 × 32 pixels that a picture has, and tokens of each. */
  readonly patches?: { readonly most: number; readonly each: number };
}

/** "Original" detail ends at 10,000 patches, and no published multiplier is higher than that of gpt-4.1-nano. */
const anyPatches = { most: 10_000, each: 2.46 };

// The first that matches counts. Where the guide and users' measurements differ (community.openai.com/t/1377015), the guide's
// figure stands, which is the higher.
const rules: readonly PictureRule[] = [
  { models: /^gpt-4o-mini/, tiles: { base: 2833, each: 5667 } },
  { models: /^gpt-4\.1-mini/, patches: { most: 1536, each: 1.62 } },
  { models: /^gpt-4\.1-nano/, patches: { most: 1536, each: 2.46 } },
  { models: /^(o4-mini|codex-mini)/, patches: { most: 1536, each: 1.72 } },
  { models: /^gpt-4(o|\.1|\.5|-turbo|-vision)/, tiles: { base: 85, each: 170 } },
  { models: /^o[13](-|$)/, tiles: { base: 75, each: 150 } },
  { models: /^computer-use-preview/, tiles: { base: 65, each: 129 } },
  { models: /^gpt-5(-chat|-codex)?(-latest|-20\d\d-\d\d-\d\d)?$/, tiles: { base: 70, each: 140 } },
  // Later families cut patches; which of them has which multiplier is not published for all.
  { models: /^(gpt-[5-9]|o[4-9]|codex)/, tiles: { base: 85, each: 170 }, patches: anyPatches },
];

/** A model of another name may be any model. */
const dearest: PictureRule = { models: /^/, tiles: { base: 2833, each: 5667 }, patches: anyPatches };

/** A picture is scaled to fit 2048 × 2048 pixels, then down to 768 on its shorter side. */
const mostTiles = 8;

function tilesOf(size: PictureSize): number {
  if (size === null) return mostTiles;
  const fit = Math.min(1, 2048 / Math.max(size.width, size.height));
  const scale = fit * Math.min(1, 768 / (fit * Math.min(size.width, size.height)));
  return Math.min(mostTiles, cells(size.width * scale, 512) * cells(size.height * scale, 512));
}

function patchesOf(size: PictureSize, most: number): number {
  return size === null ? most : Math.min(most, cells(size.width, 32) * cells(size.height, 32));
}

/** A scaled side may be rounded up to the next pixel. */
function cells(side: number, cell: number): number {
  return Math.max(1, Math.ceil(Math.ceil(side - 1e-9) / cell));
}

/** Maximum of the tokens of one picture, at any detail. */
export function openAiPictureTokens(model: string, size: PictureSize): number {
  const { tiles, patches } = rules.find(({ models }) => models.test(model)) ?? dearest;
  return Math.max(
    tiles === undefined ? 0 : tiles.base + tiles.each * tilesOf(size),
    patches === undefined ? 0 : Math.ceil(patchesOf(size, patches.most) * patches.each),
  );
}
