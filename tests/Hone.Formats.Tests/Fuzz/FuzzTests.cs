using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.Tests.Gguf;
using Hone.Formats.Tests.Tokenizers;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Fuzz;

/// <inheritdoc cref="FuzzRun"/>
[Trait("Category", "Slow")]
public sealed class FuzzTests : IDisposable
{
    private const string Damaged = "damaged";
    private const string Text = "ab a  bab<s>é <x>\ud83d\ude00 12's\n e\u0301 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa<unk>";

    /// <summary>With what templates of models that call tools do: macros, namespaces, JSON, slices, and marks of what the assistant writes.</summary>
    private const string ToolTemplate = """
        {%- macro describe(tool, depth=0) %}{{ tool.name ~ (': ' + tool.description if tool.description is defined else '') | indent(depth) }}{% endmacro %}
        {%- set ns = namespace(last=-1, tools=[]) %}{%- for message in messages %}{%- if message.role == 'user' and message.content is string %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}
        {{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}{%- set rest = messages[1:] %}{%- else %}{%- set system = 'None' %}{%- set rest = messages %}{%- endif %}
        {{- '<|system|>\n' + system }}{%- if tools is not none and tools | length > 0 %}{%- for tool in tools %}{{- '\n' + (tool | tojson(indent=2)) }}{{ describe(tool.function) }}{%- endfor %}{%- endif %}
        {%- for message in rest | selectattr('role', 'ne', 'system') %}
        {%- if message.role == 'assistant' %}{{- '<|assistant|>' }}{% generation %}{%- if message.tool_calls %}{%- for call in message.tool_calls %}{{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}{%- endfor %}{%- else %}{{- (message.content or '').split('</think>')[-1].lstrip('\n') }}{%- endif %}{{ eos_token }}{% endgeneration %}
        {%- elif message.role in ['user', 'tool'] %}{{- '<|%s|>' | format(message.role) }}{{ message['content'] if message.content is not iterable or message.content is string else message.content | map(attribute='text') | join('') }}
        {%- else %}{{- raise_exception('There is no role ' + message.role | string) }}{%- endif %}{%- if loop.index0 > ns.last and not loop.last %}{{ '\n' * 2 }}{%- endif %}{%- endfor %}
        {%- if add_generation_prompt %}{{- '<|assistant|>' ~ ('<think>' if enable_thinking is defined and enable_thinking is false else '') }}{%- endif %}
        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Safetensors_DamagedFiles_AreReadOrRefused()
    {
        byte[] good = File.ReadAllBytes(Path.Combine(References.Own("models"), "llama-layers", "adapter", AdapterConfig.WeightsFileName));
        int header = (int)BinaryPrimitives.ReadUInt64LittleEndian(good);
        RunFiles("safetensors", random => random.Next(3) > 0 ? DamagedHeader(good, header, random) : ByteDamage.Damage(good, 8 + header, random), Read);

        static void Read(string path)
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            foreach (SafetensorsTensor tensor in file.Tensors)
                file.ReadFloat32(tensor.Name, new float[tensor.Elements]);
        }
    }

    [Fact]
    public void Gguf_DamagedFiles_AreReadOrRefused()
    {
        var types = new GgufDamage(File.ReadAllBytes(Path.Combine(References.Own("gguf"), "types.gguf")));
        var model = new GgufDamage(GgufBuilder.TinyLlama().Build());
        RunFiles("gguf", random => (random.Next(3) == 0 ? types : model).Damage(random), path =>
        {
            using (GgufFile file = GgufFile.Open(path))
            {
                foreach (GgufTensor tensor in file.Tensors)
                {
                    if (tensor.Elements < 1 << 20)
                        file.ReadFloat32(tensor.Name, new float[tensor.Elements]);
                }
                if (!file.Metadata.Contains("tokenizer.ggml.model"))
                    return; // one of the types alone
            }
            ReadModel(path);
        });
    }

    [Fact]
    public void TokenizerJson_DamagedFiles_AreReadOrRefused()
    {
        JsonObject bytes = SmallTokenizerJson.Bytes();
        bytes["pre_tokenizer"] = JsonNode.Parse("""{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t)|[^\\r\\n\\p{L}]?[\\p{L}\\p{M}]+|\\p{N}{1,3}|[^\\s\\w]++|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":true,"use_regex":false}]}""");
        byte[][] good = [.. new[] { bytes, SmallTokenizerJson.Characters(), SmallTokenizerJson.Unigram() }.Select(json => Encoding.UTF8.GetBytes(json.ToJsonString()))];
        RunFiles("tokenizer.json", random => DamagedJson(good[random.Next(good.Length)], random), path =>
        {
            Tokenizer tokenizer = Tokenizer.FromTokenizerJson(path);
            int[] ids = tokenizer.Encode(Text, addSpecialTokens: true).Ids;
            string text = tokenizer.Decode(ids);
            StreamDecoder stream = tokenizer.CreateStream(skipSpecialTokens: true);
            Assert.True((text + string.Concat(ids.Select(stream.Next)) + stream.Flush()).Length < 1_000_000);
        });
    }

    [Fact]
    public void ChatTemplate_DamagedTemplates_RenderOrFail()
    {
        using JsonDocument small = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(References.Own("chat-templates"), "jinja.json")));
        var contexts = small.RootElement.GetProperty("cases").EnumerateArray().Select(c => (Template: c.GetProperty("template").GetString()!, Variables: Variables(c.GetProperty("context")))).ToList();
        using JsonDocument conversation = JsonDocument.Parse("""
            {"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi é\n"},{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"a":[1,2.5,"x"]}}}]},{"role":"tool","content":"3"},{"role":"assistant","content":"Bye"}],
             "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"array"}}}}}],"add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>"}
            """);
        Dictionary<string, JsonElement> chat = Variables(conversation.RootElement);
        foreach (string template in new[] { ToolTemplate, EmbeddedTemplate() })
            contexts.AddRange(Enumerable.Repeat((template, chat), 20)); // as likely as all small ones together
        var damage = new TemplateDamage([.. contexts.Select(c => c.Template)]);
        FuzzRun.Run(
            "template",
            (random, _) => damage.Damage(random) is var (index, template) ? ((template, contexts[index].Variables), template.Length * 2L) : default,
            input => ChatTemplate.Parse(input.template).Render(input.Variables, TimeProvider.System, TestContext.Current.CancellationToken),
            "Chat template, line ");

        static Dictionary<string, JsonElement> Variables(JsonElement context) => context.EnumerateObject().ToDictionary(item => item.Name, item => item.Value);
    }

    [Fact]
    public void ModelConfig_DamagedFiles_AreReadOrRefused()
    {
        byte[][] good = [.. new[] { "llama", "gemma3", "phi3", "qwen3_moe", "granite", "smollm3" }.Select(name => File.ReadAllBytes(Path.Combine(References.Own("models"), name, "config.json")))];
        RunFiles("config.json", random => DamagedJson(good[random.Next(good.Length)], random), path => HuggingFaceConfig.Read(path));
    }

    [Fact]
    public void AdapterConfig_DamagedFiles_AreReadOrRefused()
    {
        string folder = Path.Combine(References.Own("models"), "llama-patterns", "adapter");
        LinearModule[] modules = [.. Enumerable.Range(0, 2).SelectMany(i => new[] { "q_proj", "v_proj" }.Select(n => new LinearModule($"model.layers.{i}.self_attn.{n}", 48, 48)))];
        byte[] good = File.ReadAllBytes(Path.Combine(folder, AdapterConfig.FileName));
        RunFiles("adapter_config.json", random => DamagedJson(good, random), path =>
        {
            AdapterReport report = AdapterCheck.Check(path, Path.Combine(folder, AdapterConfig.WeightsFileName), new AdapterPlaces(modules, []), new AdapterLimits());
            if (report.Config is null)
                throw new InvalidFileException(report.Errors[0]);
            using JsonDocument written = JsonDocument.Parse(report.Config.Write());
        }, "adapter");
    }

    private void RunFiles(string format, Func<Random, byte[]> make, Action<string> read, string place = Damaged) => FuzzRun.Run(
        format,
        (random, _) => make(random) is var bytes ? (bytes, (long)bytes.Length) : default,
        bytes => read(_folder.Write(Damaged, bytes)),
        place);

    private static string EmbeddedTemplate()
    {
        using GgufFile model = GgufFile.Open(References.EmbeddedBase);
        return model.Metadata.RequiredString("tokenizer.chat_template");
    }

    private static void ReadModel(string path)
    {
        using BaseModel model = BaseModel.Open(path);
        foreach (NamedShape tensor in model.Tensors)
            model.ReadFloat32(tensor.Name, new float[tensor.Shape.Aggregate(1L, (a, b) => a * b)]);
        model.Tokenizer.Decode(model.Tokenizer.Encode(Text, addSpecialTokens: true).Ids);
    }

    private static byte[] DamagedJson(byte[] good, Random random) => random.Next(3) > 0 ? JsonDamage.Damage(good, random) : ByteDamage.Damage(good, good.Length, random);

    /// <summary>Another header of mostly the right length before the same data, or before less.</summary>
    private static byte[] DamagedHeader(byte[] good, int header, Random random)
    {
        byte[] json = DamagedJson(good[8..(8 + header)], random);
        byte[] length = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, random.Next(8) == 0 ? ByteDamage.Extreme(random, good.Length) : (ulong)json.Length);
        return [.. length, .. json, .. good[(random.Next(8) == 0 ? random.Next(8 + header, good.Length) : 8 + header)..]];
    }
}
