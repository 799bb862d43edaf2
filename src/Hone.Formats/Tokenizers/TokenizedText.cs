namespace Hone.Formats.Tokenizers;

/// <summary>
/// The tokens of a text. <c>Offsets[i]</c> is the range of UTF-16 units that token <c>i</c> comes from, whole characters always: tokens that
/// share a character of several bytes have that character's range each. A token that the tokenizer itself adds has an empty range.
/// </summary>
public sealed record TokenizedText(int[] Ids, (int Start, int End)[] Offsets);
