using System.Text;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

public sealed class TrainingConfigParserTests
{
    [Fact]
    public void Parse_AllKeys_AreRead()
    {
        var (config, errors) = TrainingConfigParser.Parse("""
            {"method":"dpo","n_epochs":3,"batch_size":4,"learning_rate":1e-3,"lr_scheduler":"cosine","warmup_ratio":0.05,"rank":8,"alpha":16,"dropout":0,"target_modules":["q_proj","v_proj"],
             "use_rslora":true,"use_dora":false,"lora_bias":true,"modules_to_save":["embed_tokens","lm_head"],"layers_to_transform":[0,29],"max_length":512,"train_on":"last_assistant","seed":42,"weight_decay":0.01,"max_grad_norm":1,"precision":"nf4","use_double_quant":true,"recompute":true,
             "eval_every":10,"checkpoint_every":0.5,"checkpoint_steps":5,"stop_when_worse":true,"strict":false,"beta":0.1}
            """u8);

        Assert.Empty(errors);
        Assert.Equal(("dpo", 3, 4, 1e-3, "cosine", 0.05), (config!.Method, config.NEpochs, config.BatchSize, config.LearningRate, config.LrScheduler, config.WarmupRatio));
        Assert.Equal((8, 16.0, 0.0, true, false), (config.Rank, config.Alpha, config.Dropout, config.UseRslora, config.UseDora));
        Assert.Equal(["q_proj", "v_proj"], config.TargetModules!);
        Assert.True(config.LoraBias);
        Assert.Equal(["embed_tokens", "lm_head"], config.ModulesToSave!);
        Assert.Equal([0, 29], config.LayersToTransform!);
        Assert.Equal((512, "last_assistant", 42L, 0.01, 1.0, "nf4"), (config.MaxLength, config.TrainOn, config.Seed, config.WeightDecay, config.MaxGradNorm, config.Precision));
        Assert.Equal((true, true), (config.UseDoubleQuant, config.Recompute));
        Assert.Equal((10, 0.5, 5, true, false, 0.1), (config.EvalEvery, config.CheckpointEvery, config.CheckpointSteps, config.StopWhenWorse, config.Strict, config.Beta));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"n_epochs":"auto","rank":null,"target_modules":"auto","strict":"auto","train_on":null}""")]
    [InlineData("""{"target_modules":"all-linear"}""")]
    public void Parse_AutoAndNull_AreNulls(string json)
    {
        var (config, errors) = TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(json));

        Assert.Empty(errors);
        Assert.Equal(new Hone.Formats.Jobs.TrainingConfig(), config);
    }

    [Theory]
    [InlineData("""{"modules_to_save":["lm_haed"]}""", "$.modules_to_save", "lm_head?")]
    [InlineData("""{"modules_to_save":["norm"]}""", "$.modules_to_save", "auto")]
    [InlineData("""{"modules_to_save":"all-linear"}""", "$.modules_to_save", "auto")]
    [InlineData("""{"modules_to_save":["lm_head","lm_head"]}""", "$.modules_to_save", "once")]
    [InlineData("""{"lora_bias":true,"use_dora":true}""", "$.lora_bias", "Keep one")]
    [InlineData("""{"use_double_quant":true,"precision":"bfloat16"}""", "$.use_double_quant", "nf4")]
    [InlineData("""{"use_double_quant":true}""", "$.use_double_quant", "nf4")]
    [InlineData("""{"precision":"float16"}""", "$.precision", "bfloat16")]
    [InlineData("""{"gradient_checkpointing":true}""", "$.gradient_checkpointing", "recompute?")]
    public void Parse_ModulesBesideTheAdapter_AreCheckedByName(string json, string path, string hint)
    {
        var error = Assert.Single(TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(json)).Errors);
        Assert.Equal(path, error.Path);
        Assert.Contains(hint, error.Hint, StringComparison.Ordinal);
    }

    [Fact]
    public void Parse_ManyFaults_AreAllReportedWithPathAndPlace()
    {
        byte[] json = Encoding.UTF8.GetBytes("""
            {
              "n_epochs": 0,
              "epochs": 3,
              "batchsize": 4,
              "learning_rate": "1e-4",
              "dropout": 1,
              "train_on": "assistent",
              "layers_to_transform": [1, 1],
              "seed": 1.5,
              "strict": "yes",
              "target_modules": ["q_proj", 7]
            }
            """);

        var (config, errors) = TrainingConfigParser.Parse(json);

        Assert.Null(config);
        Assert.Equal(["$.n_epochs", "$.epochs", "$.batchsize", "$.learning_rate", "$.dropout", "$.train_on", "$.layers_to_transform", "$.seed", "$.strict", "$.target_modules"], errors.Select(e => e.Path));
        Assert.Equal(Enumerable.Range(2, 10), errors.Select(e => e.Line!.Value));
        Assert.All(errors, e => Assert.Equal(e.Line, json.AsSpan(0, (int)e.Byte!).Count((byte)'\n') + 1));
        Assert.Equal(["Did you mean n_epochs?", "Did you mean batch_size?"], errors.Where(e => e.Code == "unknown_key").Select(e => e.Hint));
        Assert.Equal("Did you mean assistant?", errors[5].Hint);
    }

    [Theory]
    [InlineData("learning_rate_scheduler", "lr_scheduler")]
    [InlineData("warmup_steps", "warmup_ratio")]
    [InlineData("torch_dtype", "precision")]
    [InlineData("train_on_inputs", "train_on")]
    public void Parse_OtherTrainersName_NamesHones(string theirs, string ours) =>
        Assert.Equal($"Did you mean {ours}?", Assert.Single(TrainingConfigParser.Parse(Encoding.UTF8.GetBytes($"{{\"{theirs}\":1}}")).Errors).Hint);

    [Theory]
    [InlineData("", "file_empty")]
    [InlineData(" \n", "file_empty")]
    [InlineData("[]", "config_not_object")]
    [InlineData("{\"rank\":8,}", "not_json")]
    [InlineData("{\"rank\":8,\"rank\":16}", "duplicate_key")]
    [InlineData("{\"learning_rate\":0}", "value_invalid")]
    [InlineData("{\"learning_rate\":1e999}", "value_invalid")]
    [InlineData("{\"alpha\":0}", "value_invalid")]
    [InlineData("{\"beta\":2.1}", "value_invalid")]
    [InlineData("{\"n_epochs\":51}", "value_invalid")]
    [InlineData("{\"method\":{\"type\":\"dpo\"}}", "value_invalid")]
    [InlineData("{\"learning_rate\":0.1,\"learning_rate_multiplier\":2}", "conflict")]
    [InlineData("{\"method\":\"supervised\",\"beta\":0.1}", "conflict")]
    [InlineData("{\"start_from\":\"triage\",\"rank\":8}", "conflict")]
    [InlineData("{\"start_from\":\" \"}", "value_invalid")]
    [InlineData("{\"adapter_name_or_path\":\"triage\"}", "unknown_key")]
    public void Parse_BrokenConfig_IsOneError(string json, string code)
    {
        var (config, errors) = TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(json));

        Assert.Null(config);
        Assert.Equal(code, Assert.Single(errors).Code);
    }

    [Theory]
    [InlineData("{\"target_modules\":[\"LONG\"]}", "value_invalid")]
    [InlineData("{\"target_modules\":[MANY]}", "value_invalid")]
    [InlineData("{\"LONG\":1}", "unknown_key")]
    [InlineData("{\"LONG\":1,\"LONG\":2}", "duplicate_key")]
    public void Parse_LongTextOrList_IsAShortError(string json, string code)
    {
        json = json.Replace("LONG", new string('q', 100_000), StringComparison.Ordinal).Replace("MANY", string.Join(',', Enumerable.Range(0, 1_001).Select(i => $"\"m{i}\"")), StringComparison.Ordinal);

        var (config, errors) = TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(json));

        Assert.Null(config);
        Assert.Single(errors, e => e.Code == code);
        Assert.All(errors, e => Assert.InRange(e.Message.Length + e.Path!.Length, 0, 300));
    }

    /// <summary>A configuration may have many lines.</summary>
    [Theory]
    [InlineData("{\"n_epochs\":1,", 1)]
    [InlineData("{\n\"n_epochs\":1,\n\"rank\"", 3)]
    [InlineData("{\n\"train_on\":\"assist", 2)]
    [InlineData("{\"rank\":8}\n{\"rank\":8}", 2)]
    [InlineData("rank: 8", 1)]
    [InlineData("{\n\"rank\":8 ; }", 2)]
    public void Bug_TextThatIsNoJson_IsNotSpokenOfAsARow(string json, int line)
    {
        LintIssue error = Assert.Single(TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(json)).Errors);

        Assert.Equal(line, error.Line);
        Assert.DoesNotMatch("(?i)row|line must|one line|each object|several lines", $"{error.Message} {error.Hint}");
        if (error.Message.Contains("column", StringComparison.Ordinal))
            Assert.Contains("column 10", error.Message, StringComparison.Ordinal);
    }
}
