using System.Text;
using System.Text.Json.Nodes;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>Small tokenizer.json files, of which each test changes a part.</summary>
internal static class SmallTokenizerJson
{
    /// <summary>Byte-level with two added tokens.</summary>
    public static JsonObject Bytes() => Parse("""
        {
          "version": "1.0", "truncation": null, "padding": null,
          "added_tokens": [
            {"id": 8, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 9, "content": "<x>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false}
          ],
          "normalizer": null,
          "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
          "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [8], "tokens": ["<s>"]}}},
          "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
          "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "Ġab": 5, "Ã": 6, "©": 7}, "merges": ["a b", ["Ġ", "ab"]]}
        }
        """);

    /// <summary>Characters with byte fallback, <c>▁</c> for spaces and one before each part.</summary>
    public static JsonObject Characters() => Parse("""
        {
          "version": "1.0", "added_tokens": [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
          "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
          "pre_tokenizer": null, "post_processor": null,
          "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
          "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "▁": 3, "a": 4, "b": 5, "▁a": 6, "ab": 7, "▁ab": 8}, "merges": ["▁ a", "a b", "▁ ab", "▁a b"]}
        }
        """);

    public static JsonObject Unigram() => Parse("""
        {
          "version": "1.0", "added_tokens": [],
          "normalizer": {"type": "NFKC"},
          "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
          "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
          "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -2.5], ["a", -3], ["b", -3.0], ["▁ab", -4.0], ["ba", -3.5]], "byte_fallback": false}
        }
        """);

    public static Tokenizer Read(JsonNode json) => Tokenizer.FromTokenizerJson(Encoding.UTF8.GetBytes(json.ToJsonString()), "tokenizer.json");

    private static JsonObject Parse(string json) => (JsonObject)JsonNode.Parse(json)!;
}
