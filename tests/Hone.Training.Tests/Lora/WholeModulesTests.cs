using System.Text.Json.Nodes;
using Hone.Formats;
using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Lora;

/// <summary>Adapters with an embedding or output matrix of their own (<c>modules_to_save</c>) and with biases (<c>lora_bias</c>), in PEFT's names.</summary>
public sealed class WholeModulesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-whole-").FullName;
    private readonly EncodedRow[] _rows = [Row(1, 3, 40, 7, 8, 90, 11), Row(2, 9, 5, 77, 5), Row(3, 60, 2, 2, 31, 14)];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("llama", "lm_head")]
    [InlineData("llama", "embed_tokens,lm_head")]
    [InlineData("gemma2", "lm_head")] // tied, scaled embeddings, capped logits
    [InlineData("gemma2", "embed_tokens")]
    [InlineData("granite", "embed_tokens,lm_head")] // tied, with multipliers
    public void Load_ModulesToSave_IsTheModelWithTheseMatrices(string family, string modules)
    {
        string baseFolder = Base(family);
        string[] saved = [.. modules.Split(',').Select(m => m == "lm_head" ? AdapterPlaces.Head : AdapterPlaces.Embedding)];
        Dictionary<string, float[]> own = Make(baseFolder, config => config["modules_to_save"] = new JsonArray([.. modules.Split(',').Select(m => (JsonNode)m)]), saved);
        using var model = new TinyModel(baseFolder);
        using LoraAdapter adapter = PeftAdapter.Load(_folder, model.Decoder);
        float[][] actual = Logits(model.Decoder, _rows, [adapter]);

        // The same by hand: PEFT's adapter without them merged, then the matrices laid over it, and the two no longer tied.
        using var plain = new MergedModel(baseFolder, Path.Combine(baseFolder, "adapter"), Untied(baseFolder), values =>
        {
            values.TryAdd("lm_head.weight", values["model.embed_tokens.weight"]);
            foreach (string module in saved)
                values[module + ".weight"] = values[module + ".weight"] with { Values = own[PeftNames.Of(AdapterTensor.Whole, module)] };
        });
        AssertEqual(Logits(plain.Model.Decoder, _rows, [null]), actual);
        using var merged = new MergedModel(baseFolder, _folder, Untied(baseFolder));
        AssertEqual(Logits(merged.Model.Decoder, _rows, [null]), actual);
        Assert.All(Logits(model.Decoder, _rows, [null]).Zip(actual), pair => Assert.NotEqual(pair.First, pair.Second));
    }

    [Fact]
    public void Forward_StreamsOfSeveralAdapters_EachUsesItsOwnMatrices()
    {
        string baseFolder = Base("llama");
        using var model = new TinyModel(baseFolder);
        Make(baseFolder, config => config["modules_to_save"] = new JsonArray("lm_head", "embed_tokens"), AdapterPlaces.Embedding, AdapterPlaces.Head);
        using LoraAdapter first = PeftAdapter.Load(_folder, model.Decoder), other = PeftAdapter.Load(Path.Combine(baseFolder, "adapter"), model.Decoder);
        float[][] together = Logits(model.Decoder, _rows, [first, null, other]);
        foreach ((LoraAdapter? adapter, int row) in new[] { (first, 0), (null, 1), (other, 2) })
            AssertEqual(Logits(model.Decoder, [_rows[row]], [adapter]), [together[row]]);
    }

    [Fact]
    public void Load_LoraBias_IsTheModelWithScaledBiases()
    {
        string baseFolder = Base("qwen2");
        Dictionary<string, float[]> own = Make(baseFolder, config =>
        {
            config["lora_bias"] = true;
            config["target_modules"] = new JsonArray("q_proj", "v_proj");
        });
        using var model = new TinyModel(baseFolder);
        using LoraAdapter adapter = PeftAdapter.Load(_folder, model.Decoder);
        float[][] actual = Logits(model.Decoder, _rows, [adapter]);
        float[] before = [], after = [];
        using var merged = new MergedModel(baseFolder, _folder, change: values => after = values["model.layers.1.self_attn.q_proj.bias"].Values.ToArray());
        AssertEqual(Logits(merged.Model.Decoder, _rows, [null]), actual);
        using (ModelWeights weights = ModelWeights.Open(baseFolder))
            weights.ReadFloat32("model.layers.1.self_attn.q_proj.bias", 0, before = new float[after.Length]);
        float[] bias = own[PeftNames.Of(AdapterTensor.Bias, "model.layers.1.self_attn.q_proj")];
        Assert.All(Enumerable.Range(0, bias.Length), i => Assert.Equal(before[i] + 2 * bias[i], after[i], 1e-6f)); // alpha 8 / r 4

        // Together with other streams, the bias is added to the adapter's rows alone.
        float[][] together = Logits(model.Decoder, _rows, [null, adapter, null]);
        AssertEqual([actual[1]], [together[1]]);
        AssertEqual([Logits(model.Decoder, [_rows[2]], [null])[0]], [together[2]]);
    }

    [Fact]
    public void OpenMerged_LoraBiasWithoutPlaceInTheBase_IsRefusedByName()
    {
        string baseFolder = Base("llama");
        Make(baseFolder, config => config["lora_bias"] = true);
        string message = Assert.Throws<InvalidFileException>(() => new MergedModel(baseFolder, _folder)).Message;
        Assert.Contains("'model.layers.0.self_attn.q_proj' (lora_bias)", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lora_bias")]
    [InlineData("modules_to_save")]
    public void OpenGguf_WhatLlamaCppHasNot_IsRefusedByName(string key)
    {
        string baseFolder = Base("llama");
        if (key == "lora_bias")
            Make(baseFolder, config => config[key] = true);
        else
            Make(baseFolder, config => config[key] = new JsonArray("lm_head"), AdapterPlaces.Head);
        using ModelWeights weights = ModelWeights.Open(baseFolder);
        string message = Assert.Throws<InvalidFileException>(() => AdapterExport.OpenGguf(ConfigPath, WeightsPath, weights)).Message;
        Assert.Contains($"({key})", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A9_NotFinite_IsAnErrorOnLoad()
    {
        string baseFolder = Base("llama");
        using var model = new TinyModel(baseFolder);
        Dictionary<string, float[]> own = Make(baseFolder, config => config["modules_to_save"] = new JsonArray("lm_head"), AdapterPlaces.Head);
        PeftAdapter.Load(_folder, model.Decoder).Dispose();
        foreach (string name in new[] { PeftNames.A("model.layers.0.mlp.up_proj"), "base_model.model.lm_head.weight" })
        {
            float kept = own[name][5];
            own[name][5] = float.NegativeInfinity;
            Write(own, baseFolder);
            Assert.Contains($"'{name}' holds -Infinity at element 5", Assert.Throws<InvalidFileException>(() => PeftAdapter.Load(_folder, model.Decoder)).Message, StringComparison.Ordinal);
            own[name][5] = kept;
        }
    }

    [Fact]
    public void A3_TensorsBesideTheConfig_AreAnErrorOnLoad()
    {
        string baseFolder = Base("llama");
        using var model = new TinyModel(baseFolder);
        Make(baseFolder, _ => { }, AdapterPlaces.Head); // saved whole, but not named
        Assert.Contains("'base_model.model.lm_head.weight' has no place", Assert.Throws<InvalidFileException>(() => PeftAdapter.Load(_folder, model.Decoder)).Message, StringComparison.Ordinal);
    }

    private string ConfigPath => Path.Combine(_folder, AdapterConfig.FileName);

    private string WeightsPath => Path.Combine(_folder, AdapterConfig.WeightsFileName);

    private static string Base(string family) => Path.GetDirectoryName(Reference.Existing($"models/{family}/reference.safetensors")[0])!;

    private static string Untied(string baseFolder)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(baseFolder, "config.json")))!.AsObject();
        config["tie_word_embeddings"] = false;
        return config.ToJsonString();
    }

    /// <summary>The family's adapter with another config, and what that config demands beside it.</summary>
    private Dictionary<string, float[]> Make(string baseFolder, Action<JsonObject> change, params string[] whole)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(baseFolder, "adapter", AdapterConfig.FileName)))!.AsObject();
        change(config);
        File.WriteAllText(ConfigPath, config.ToJsonString());
        AdapterConfig parsed = AdapterConfig.Parse(File.ReadAllBytes(ConfigPath)).Config!;
        var values = new Dictionary<string, float[]>(StringComparer.Ordinal);
        using (SafetensorsFile file = SafetensorsFile.Open(Path.Combine(baseFolder, "adapter", AdapterConfig.WeightsFileName)))
        {
            foreach (SafetensorsTensor tensor in file.Tensors.Where(t => parsed.Targets(PeftNames.Parse(t.Name)!.Value.Module)))
                values[tensor.Name] = Reference.Read(file, tensor.Name);
        }
        AdapterPlaces places = Places(baseFolder);
        var random = new Random(5);
        if (parsed.LoraBias)
        {
            foreach (LinearModule module in places.Linear.Where(m => parsed.Targets(m.Name)))
                values[PeftNames.Of(AdapterTensor.Bias, module.Name)] = Numbers(module.Out);
        }
        foreach (LinearModule module in places.Whole.Where(m => whole.Contains(m.Name)))
            values[PeftNames.Of(AdapterTensor.Whole, module.Name)] = Numbers(module.In * module.Out);
        Write(values, baseFolder);
        return values;

        float[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }

    private void Write(Dictionary<string, float[]> values, string baseFolder)
    {
        AdapterPlaces places = Places(baseFolder);
        SafetensorsWriter.Write(WeightsPath, values.Select(v => new SafetensorsData(v.Key, Shape(v.Key, v.Value.Length), v.Value)));

        long[] Shape(string name, int length)
        {
            (string module, AdapterTensor tensor) = PeftNames.Parse(name)!.Value;
            LinearModule of = places.Linear.Concat(places.Whole).Single(m => m.Name == module);
            return tensor switch
            {
                AdapterTensor.A => [length / of.In, of.In],
                AdapterTensor.B => [of.Out, length / of.Out],
                AdapterTensor.Whole => [of.Out, of.In],
                _ => [of.Out],
            };
        }
    }

    private static AdapterPlaces Places(string baseFolder)
    {
        using ModelWeights weights = ModelWeights.Open(baseFolder);
        return AdapterPlaces.Of(weights.Config);
    }

    /// <summary>Logits of each row [T · V], row i through adapter i (or the only one).</summary>
    private static float[][] Logits(Decoder decoder, EncodedRow[] rows, LoraAdapter?[] adapters)
    {
        using var scope = NewDisposeScope();
        PackedBatch packed = PackedBatch.Pack(rows);
        Assert.Equal(rows.Sum(r => r.Tokens.Length), packed.Tokens.Length); // the rows share no beginning
        AdapterRows[] parts = [.. rows.Select((_, r) => (Adapter: adapters[adapters.Length == 1 ? 0 : r], Tokens: packed.RowTokens[r])).Where(p => p.Adapter is not null).Select(p => new AdapterRows(p.Adapter!, p.Tokens[0], p.Tokens.Length))];
        if (adapters is [{ } only])
            parts = [new AdapterRows(only, 0, packed.Tokens.Length)];
        Tensor logits = decoder.Logits(decoder.Forward(packed.Tokens, packed.Positions, new PrefixTreeAttention(packed, decoder.AttentionShape), parts), parts);
        int width = (int)logits.shape[1];
        return [.. packed.RowTokens.Select(tokens => tokens.SelectMany(t => Reference.Floats(logits).Slice(t * width, width).ToArray()).ToArray())];
    }

    private static void AssertEqual(float[][] expected, float[][] actual)
    {
        for (int r = 0; r < expected.Length; r++)
            Assert.InRange(expected[r].Zip(actual[r], (a, b) => Math.Abs((double)a - b)).Max() / expected[r].Max(Math.Abs), 0, 1e-5);
    }

    private static EncodedRow Row(int line, params int[] tokens) => new(line, tokens, [.. tokens.Select((_, i) => i > 1)]);
}
