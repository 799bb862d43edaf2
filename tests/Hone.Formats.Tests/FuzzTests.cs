using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.Tests.Gguf;
using Hone.Formats.Tests.Tokenizers;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests;

/// <summary>
/// Damaged files in great number, from a fixed seed: each is read whole or refused with <see cref="InvalidFileException"/>, soon and within memory that is in
/// proportion to the file.
/// </summary>
[Trait("Category", "Slow")]
public sealed class FuzzTests : IDisposable
{
    private const int Mutations = 2_000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Gguf_DamagedFiles_AreReadOrRefused() =>
        Run(File.ReadAllBytes(Path.Combine(References.Own("gguf"), "types.gguf")), headBytes: 2_500, path =>
        {
            using GgufFile file = GgufFile.Open(path);
            foreach (GgufTensor tensor in file.Tensors)
            {
                if (tensor.Elements < 1 << 20)
                    file.ReadFloat32(tensor.Name, new float[tensor.Elements]);
            }
        });

    [Fact]
    public void BaseModel_DamagedFiles_AreReadOrRefused() =>
        Run(GgufBuilder.TinyLlama().Build(), headBytes: 6_000, path =>
        {
            using BaseModel model = BaseModel.Open(path);
            foreach (NamedShape tensor in model.Tensors)
                model.ReadFloat32(tensor.Name, new float[tensor.Shape.Aggregate(1L, (a, b) => a * b)]);
        });

    [Fact]
    public void Safetensors_DamagedFiles_AreReadOrRefused() =>
        Run(File.ReadAllBytes(Path.Combine(References.Own("models"), "llama-layers", "adapter", AdapterConfig.WeightsFileName)), headBytes: 700, path =>
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            foreach (SafetensorsTensor tensor in file.Tensors)
                file.ReadFloat32(tensor.Name, new float[tensor.Elements]);
        });

    [Fact]
    public void AdapterConfig_DamagedFiles_AreReadOrRefused()
    {
        string folder = Path.Combine(References.Own("models"), "llama-patterns", "adapter");
        LinearModule[] modules = [.. Enumerable.Range(0, 2).SelectMany(i => new[] { "q_proj", "v_proj" }.Select(n => new LinearModule($"model.layers.{i}.self_attn.{n}", 48, 48)))];
        Run(File.ReadAllBytes(Path.Combine(folder, AdapterConfig.FileName)), headBytes: 1_200, path =>
        {
            AdapterReport report = AdapterCheck.Check(path, Path.Combine(folder, AdapterConfig.WeightsFileName), new AdapterPlaces(modules, []), new AdapterLimits());
            if (report.Config is null)
                throw new InvalidFileException(report.Errors[0]);
            using JsonDocument written = JsonDocument.Parse(report.Config.Write());
        });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void TokenizerJson_DamagedFiles_AreReadOrRefused(int kind)
    {
        JsonObject json = kind switch { 0 => SmallTokenizerJson.Bytes(), 1 => SmallTokenizerJson.Characters(), _ => SmallTokenizerJson.Unigram() };
        if (kind == 0)
            json["pre_tokenizer"] = JsonNode.Parse("""{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t)|[^\\r\\n\\p{L}]?[\\p{L}\\p{M}]+|\\p{N}{1,3}|[^\\s\\w]++|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":true,"use_regex":false}]}""");
        byte[] good = Encoding.UTF8.GetBytes(json.ToJsonString());
        Run(good, good.Length, path =>
        {
            Tokenizer tokenizer = Tokenizer.FromTokenizerJson(path);
            int[] ids = tokenizer.Encode("ab a  bab<s>é <x>\ud83d\ude00 12's\n e\u0301 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa<unk>", addSpecialTokens: true).Ids;
            string text = tokenizer.Decode(ids);
            StreamDecoder stream = tokenizer.CreateStream(skipSpecialTokens: true);
            Assert.True((text + string.Concat(ids.Select(stream.Next)) + stream.Flush()).Length < 1_000_000);
        });
    }

    private void Run(byte[] good, int headBytes, Action<string> read)
    {
        var random = new Random(20_250_117);
        read(_folder.Write("good", good)); // and what it needs is loaded before time is taken
        int refused = 0;
        for (int i = 0; i < Mutations; i++)
        {
            byte[] bytes = Mutate(good, headBytes, random);
            string path = _folder.Write("damaged", bytes);
            long allocated = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            try
            {
                read(path);
            }
            catch (InvalidFileException e)
            {
                refused++;
                Assert.True(e.Message.Length < 8_000, e.Message);
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"Mutation {i} of {bytes.Length} bytes: {e}");
            }
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(10), $"Mutation {i} takes {Stopwatch.GetElapsedTime(start)}.");
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - allocated < bytes.Length * 4L + (64 << 20), $"Mutation {i} allocates {GC.GetAllocatedBytesForCurrentThread() - allocated} bytes.");
        }
        Assert.InRange(refused, Mutations / 4, Mutations - 1);
    }

    /// <summary>One to three of: flipped bits, a number of extreme size, a cut, a run removed, doubled or overwritten; three of four in the head.</summary>
    private static byte[] Mutate(byte[] good, int headBytes, Random random)
    {
        List<byte> bytes = [.. good];
        for (int count = random.Next(1, 4); count > 0 && bytes.Count > 0; count--)
        {
            int at = random.Next(random.Next(4) > 0 ? Math.Min(headBytes, bytes.Count) : bytes.Count);
            int length = Math.Min(random.Next(1, 40), bytes.Count - at);
            switch (random.Next(7))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2:
                    ulong[] extremes = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1ul << 32, 1ul << 62, 1ul << 63, ulong.MaxValue, (ulong)bytes.Count, (ulong)random.Next(1 << 20)];
                    byte[] number = BitConverter.GetBytes(extremes[random.Next(extremes.Length)]);
                    for (int i = 0; i < (random.Next(2) == 0 ? 4 : 8) && at + i < bytes.Count; i++)
                        bytes[at + i] = number[i];
                    break;
                case 3: bytes.RemoveRange(at, random.Next(4) > 0 ? length : bytes.Count - at); break;
                case 4: bytes.InsertRange(at, bytes.GetRange(at, length)); break;
                case 5: bytes.InsertRange(at, "{}[]\",:0-9e\\ud800"u8.ToArray().OrderBy(_ => random.Next()).Take(random.Next(1, 6))); break;
                default:
                    for (int i = 0; i < length; i++)
                        bytes[at + i] = bytes[random.Next(bytes.Count)];
                    break;
            }
        }
        return [.. bytes];
    }
}
